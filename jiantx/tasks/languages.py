"""Which languages a data set speaks, in ISO 639-1 codes, and the data sets' own words for them."""

XNLI = tuple("ar bg de el en es fr hi ru sw th tr ur vi zh".split())
PAWSX = tuple("de en es fr ja ko zh".split())
XQUAD = tuple("ar de el en es hi ro ru th tr vi zh".split())
XQUAD_R = tuple("ar de el en es hi ru th tr vi zh".split())
MLQA = tuple("ar de en es hi vi zh".split())
XCOPA = tuple("et ht id it qu sw ta th tr vi zh".split())
BUCC = tuple("de fr ru zh".split())
MEWSLIX = tuple("ar de en es fa ja pl ro ta tr uk".split())
STSB = tuple("de en es fr it nl pl pt ru zh".split())
PANX = tuple(
    """af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw
    ta te th tl tr ur vi yo zh""".split()
)
PANX_R = (*PANX, *"az gu lt pa pl qu ro uk".split())  # what XTREME-R adds
UDPOS = tuple(
    """af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi
    yo zh""".split()
)
UDPOS_R = (*UDPOS, *"lt pl ro uk wo".split())
MLM = tuple(dict.fromkeys((*PANX_R, *UDPOS_R, *XNLI, *XCOPA)))


def _words(pairs: str) -> dict[str, str]:
    """Our code -> the data set's word."""
    return dict(pair.split(":") for pair in pairs.split())


# ISO 639-3, as LASER and XTREME name Tatoeba's files: Persian is pes, Chinese cmn, Swahili swh,
# Estonian est.
TATOEBA = _words(
    """af:afr ar:ara bg:bul bn:ben de:deu el:ell es:spa et:est eu:eus fa:pes fi:fin fr:fra he:heb
    hi:hin hu:hun id:ind it:ita ja:jpn jv:jav ka:kat kk:kaz ko:kor ml:mal mr:mar nl:nld pt:por
    ru:rus sw:swh ta:tam te:tel th:tha tl:tgl tr:tur ur:urd vi:vie zh:cmn"""
)
TATOEBA_R = _words("az:aze lt:lit pl:pol ro:ron uk:ukr")
TYDIQA = _words(
    """ar:arabic bn:bengali en:english fi:finnish id:indonesian ko:korean ru:russian sw:swahili
    te:telugu"""
)
UDPOS_HUB = _words(
    """af:Afrikaans ar:Arabic bg:Bulgarian de:German el:Greek en:English es:Spanish et:Estonian
    eu:Basque fa:Persian fi:Finnish fr:French he:Hebrew hi:Hindi hu:Hungarian id:Indonesian
    it:Italian ja:Japanese kk:Kazakh ko:Korean mr:Marathi nl:Dutch pt:Portuguese ru:Russian
    ta:Tamil te:Telugu th:Thai tl:Tagalog tr:Turkish ur:Urdu vi:Vietnamese yo:Yoruba zh:Chinese"""
)
# FLORES' code of the language and its script. Where a language has several scripts, the less usual
# one is in our code too; the Arabic dialects keep their ISO 639-3 codes.
BELEBELE = _words(
    """acm:acm_Arab af:afr_Latn am:amh_Ethi apc:apc_Arab ar-Latn:arb_Latn ar:arb_Arab ars:ars_Arab
    ary:ary_Arab arz:arz_Arab as:asm_Beng az:azj_Latn bg:bul_Cyrl bm:bam_Latn bn-Latn:ben_Latn
    bn:ben_Beng bo:bod_Tibt ca:cat_Latn ceb:ceb_Latn ckb:ckb_Arab cs:ces_Latn da:dan_Latn
    de:deu_Latn el:ell_Grek en:eng_Latn es:spa_Latn et:est_Latn eu:eus_Latn fa:pes_Arab ff:fuv_Latn
    fi:fin_Latn fr:fra_Latn gn:grn_Latn gu:guj_Gujr ha:hau_Latn he:heb_Hebr hi-Latn:hin_Latn
    hi:hin_Deva hr:hrv_Latn ht:hat_Latn hu:hun_Latn hy:hye_Armn id:ind_Latn ig:ibo_Latn ilo:ilo_Latn
    is:isl_Latn it:ita_Latn ja:jpn_Jpan jv:jav_Latn ka:kat_Geor kac:kac_Latn kea:kea_Latn
    kk:kaz_Cyrl km:khm_Khmr kn:kan_Knda ko:kor_Hang ky:kir_Cyrl lg:lug_Latn ln:lin_Latn lo:lao_Laoo
    lt:lit_Latn luo:luo_Latn lv:lvs_Latn mg:plt_Latn mi:mri_Latn mk:mkd_Cyrl ml:mal_Mlym mn:khk_Cyrl
    mr:mar_Deva ms:zsm_Latn mt:mlt_Latn my:mya_Mymr nb:nob_Latn ne-Latn:npi_Latn ne:npi_Deva
    nl:nld_Latn nso:nso_Latn ny:nya_Latn om:gaz_Latn or:ory_Orya pa:pan_Guru pl:pol_Latn ps:pbt_Arab
    pt:por_Latn ro:ron_Latn ru:rus_Cyrl rw:kin_Latn sd:snd_Arab shn:shn_Mymr si-Latn:sin_Latn
    si:sin_Sinh sk:slk_Latn sl:slv_Latn sn:sna_Latn so:som_Latn sq:als_Latn sr:srp_Cyrl ss:ssw_Latn
    st:sot_Latn su:sun_Latn sv:swe_Latn sw:swh_Latn ta:tam_Taml te:tel_Telu tg:tgk_Cyrl th:tha_Thai
    ti:tir_Ethi tl:tgl_Latn tn:tsn_Latn tr:tur_Latn ts:tso_Latn uk:ukr_Cyrl ur-Latn:urd_Latn
    ur:urd_Arab uz:uzn_Latn vi:vie_Latn war:war_Latn wo:wol_Latn xh:xho_Latn yo:yor_Latn
    zh-Hant:zho_Hant zh:zho_Hans zu:zul_Latn"""
)
XSTORYCLOZE = tuple("ar en es eu hi id my ru sw te zh".split())
XCSQA = _words(
    """ar:ar de:de en:en es:es fr:fr hi:hi it:it ja:jap nl:nl pl:pl pt:pt ru:ru sw:sw ur:ur vi:vi
    zh:zh"""
)
XWINOGRAD = _words("en:en fr:fr ja:jp pt:pt ru:ru zh:zh")
