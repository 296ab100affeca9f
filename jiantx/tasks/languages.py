"""Which languages a data set speaks, in ISO 639-1 codes, and the data sets' own words for them."""

XNLI = tuple("ar bg de el en es fr hi ru sw th tr ur vi zh".split())
PAWSX = tuple("de en es fr ja ko zh".split())
XQUAD = tuple("ar de el en es hi ro ru th tr vi zh".split())
STSB = tuple("de en es fr it nl pl pt ru zh".split())
PANX = tuple(
    """af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi
    yo zh""".split()
)
UDPOS = tuple(
    "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh".split()
)
MLM = tuple(dict.fromkeys((*PANX, *UDPOS, *XNLI)))

# ISO 639-3, as LASER and XTREME name Tatoeba's files: Persian is pes, Chinese cmn, Swahili swh, Estonian est.
TATOEBA = dict(
    pair.split(":")
    for pair in """af:afr ar:ara bg:bul bn:ben de:deu el:ell es:spa et:est eu:eus fa:pes fi:fin fr:fra he:heb hi:hin
    hu:hun id:ind it:ita ja:jpn jv:jav ka:kat kk:kaz ko:kor ml:mal mr:mar nl:nld pt:por ru:rus sw:swh ta:tam te:tel
    th:tha tl:tgl tr:tur ur:urd vi:vie zh:cmn""".split()
)
