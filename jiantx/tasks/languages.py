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
# ISO 639-3; ours is that too where a language has no code of two letters.
MULTIBLIMP = _words(
    """ab:abk am:amh ar:arb be:bel bg:bul bn:ben br:bre ca:cat cs:ces cu:chu cy:cym da:dan de:deu
    el:ell en:eng es:spa et:est eu:eus fa:fas fi:fin fo:fao fr:fra ga:gle gd:gla gl:glg gu:guj
    he:heb hi:hin hu:hun hy:hye is:isl it:ita ka:kat kk:kaz ky:kir la:lat lt:lit lv:lav mk:mkd
    mr:mar nl:nld pl:pol pt:por ro:ron ru:rus sa:san se:sme sk:slk sl:slv sq:sqi sv:swe ta:tam
    tr:tur ug:uig uk:ukr ur:urd uz:uzb wo:wol"""
) | {
    code: code
    for code in """aln apu aqz azz bho bor bua egy frm fro got grc hbo hbs hit hsb hyw kmr koi kpv
    krl kxh lij mdf myv nds nhi olo orv ota pcm quc sah sms tpn ttc urb vep wbp xcl xnr
    xpg yrl""".split()
}
