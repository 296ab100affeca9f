"""Other names of tasks: those of jiant, and of its downloads."""

# Other name -> the task's name. A task that is registered under an alias comes before it.
ALIASES = dict(
    pair.split(":")
    for pair in """adversarial_nli:anli commitmentbank:cb coref:edge_coref
    glue_diagnostics:glue_diagnostic mc_taco:mctaco mctest:mctest500 mlm_simple:mlm ner:edge_ner
    nonterminal:edge_nonterminal pos:edge_pos senteval_tense:senteval_past_present
    socialiqa:siqa squad:squad_v1 srl:edge_srl sst:sst2 superglue_axb:axb superglue_axg:axg
    superglue_boolq:boolq superglue_broadcoverage_diagnostics:axb superglue_cb:cb
    superglue_commitmentbank:cb superglue_copa:copa superglue_multirc:multirc
    superglue_record:record superglue_wic:wic superglue_winogender_diagnostics:axg
    superglue_wsc:wsc""".split()
)
