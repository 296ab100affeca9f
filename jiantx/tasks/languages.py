"""Which languages a data set speaks, in ISO 639 codes, and the data sets' own words for them.

A language has its ISO 639-1 code, which may be that of its macrolanguage (`zh`, `sw`, `qu`), or
else its ISO 639-3 code. Where a data set has a language in several scripts, the usual one has the
bare code, and another one is added to it: `zh` and `zh_Hant`, `ar` and `ar_Latn`.
"""

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
    """jiantx's code -> the data set's word."""
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

# FLORES-200's languages, as SIB-200 names them too.
FLORES = _words(
    """ace:ace_Latn ace_Arab:ace_Arab acm:acm_Arab acq:acq_Arab aeb:aeb_Arab af:afr_Latn
    ajp:ajp_Arab ak:aka_Latn am:amh_Ethi apc:apc_Arab ar:arb_Arab ar_Latn:arb_Latn ars:ars_Arab
    ary:ary_Arab arz:arz_Arab as:asm_Beng ast:ast_Latn awa:awa_Deva ay:ayr_Latn az:azj_Latn
    azb:azb_Arab ba:bak_Cyrl ban:ban_Latn be:bel_Cyrl bem:bem_Latn bg:bul_Cyrl bho:bho_Deva
    bjn:bjn_Latn bjn_Arab:bjn_Arab bm:bam_Latn bn:ben_Beng bo:bod_Tibt bs:bos_Latn bug:bug_Latn
    ca:cat_Latn ceb:ceb_Latn cjk:cjk_Latn ckb:ckb_Arab crh:crh_Latn cs:ces_Latn cy:cym_Latn
    da:dan_Latn de:deu_Latn dik:dik_Latn dyu:dyu_Latn dz:dzo_Tibt ee:ewe_Latn el:ell_Grek
    en:eng_Latn eo:epo_Latn es:spa_Latn et:est_Latn eu:eus_Latn fa:pes_Arab fi:fin_Latn
    fj:fij_Latn fo:fao_Latn fon:fon_Latn fr:fra_Latn fur:fur_Latn fuv:fuv_Latn ga:gle_Latn
    gd:gla_Latn gl:glg_Latn gn:grn_Latn gu:guj_Gujr ha:hau_Latn he:heb_Hebr hi:hin_Deva
    hne:hne_Deva hr:hrv_Latn ht:hat_Latn hu:hun_Latn hy:hye_Armn id:ind_Latn ig:ibo_Latn
    ilo:ilo_Latn is:isl_Latn it:ita_Latn ja:jpn_Jpan jv:jav_Latn ka:kat_Geor kab:kab_Latn
    kac:kac_Latn kam:kam_Latn kbp:kbp_Latn kea:kea_Latn kg:kon_Latn ki:kik_Latn kk:kaz_Cyrl
    km:khm_Khmr kmb:kmb_Latn kn:kan_Knda ko:kor_Hang kr:knc_Latn kr_Arab:knc_Arab ks:kas_Arab
    ks_Deva:kas_Deva ku:kmr_Latn ky:kir_Cyrl lb:ltz_Latn lg:lug_Latn li:lim_Latn lij:lij_Latn
    lmo:lmo_Latn ln:lin_Latn lo:lao_Laoo lt:lit_Latn ltg:ltg_Latn lua:lua_Latn luo:luo_Latn
    lus:lus_Latn lv:lvs_Latn mag:mag_Deva mai:mai_Deva mg:plt_Latn mi:mri_Latn min:min_Latn
    min_Arab:min_Arab mk:mkd_Cyrl ml:mal_Mlym mn:khk_Cyrl mni:mni_Beng mos:mos_Latn mr:mar_Deva
    ms:zsm_Latn mt:mlt_Latn my:mya_Mymr nb:nob_Latn ne:npi_Deva nl:nld_Latn nn:nno_Latn
    nso:nso_Latn nus:nus_Latn ny:nya_Latn oc:oci_Latn om:gaz_Latn or:ory_Orya pa:pan_Guru
    pag:pag_Latn pap:pap_Latn pl:pol_Latn prs:prs_Arab ps:pbt_Arab pt:por_Latn qu:quy_Latn
    rn:run_Latn ro:ron_Latn ru:rus_Cyrl rw:kin_Latn sa:san_Deva sat:sat_Olck sc:srd_Latn
    scn:scn_Latn sd:snd_Arab sg:sag_Latn shn:shn_Mymr si:sin_Sinh sk:slk_Latn sl:slv_Latn
    sm:smo_Latn sn:sna_Latn so:som_Latn sq:als_Latn sr:srp_Cyrl ss:ssw_Latn st:sot_Latn
    su:sun_Latn sv:swe_Latn sw:swh_Latn szl:szl_Latn ta:tam_Taml taq:taq_Latn taq_Tfng:taq_Tfng
    te:tel_Telu tg:tgk_Cyrl th:tha_Thai ti:tir_Ethi tk:tuk_Latn tl:tgl_Latn tn:tsn_Latn
    tpi:tpi_Latn tr:tur_Latn ts:tso_Latn tt:tat_Cyrl tum:tum_Latn tw:twi_Latn tzm:tzm_Tfng
    ug:uig_Arab uk:ukr_Cyrl umb:umb_Latn ur:urd_Arab uz:uzn_Latn vec:vec_Latn vi:vie_Latn
    war:war_Latn wo:wol_Latn xh:xho_Latn yi:ydd_Hebr yo:yor_Latn yue:yue_Hant zh:zho_Hans
    zh_Hant:zho_Hant zu:zul_Latn"""
)
SIB200 = {**FLORES, "nqo": "nqo_Nkoo"}
MASAKHANER = _words(
    """bbj:bbj bm:bam ee:ewe fon:fon ha:hau ig:ibo lg:lug luo:luo mos:mos ny:nya pcm:pcm rw:kin
    sn:sna sw:swa tn:tsn tw:twi wo:wol xh:xho yo:yor zu:zul"""
)
MASAKHANEWS = _words(
    """am:amh en:eng fr:fra ha:hau ig:ibo lg:lug ln:lin om:orm pcm:pcm rn:run sn:sna so:som sw:swa
    ti:tir xh:xho yo:yor"""
)
AFRISENTI = _words(
    """am:amh arq:arq ary:ary ha:hau ig:ibo om:orm pcm:pcm pt:por rw:kin sw:swa ti:tir ts:tso
    tw:twi yo:yor"""
)
AFRIXNLI = _words(
    """am:amh ee:ewe en:eng fr:fra ha:hau ig:ibo lg:lug ln:lin om:orm rw:kin sn:sna st:sot sw:swa
    tw:twi wo:wol xh:xho yo:yor zu:zul"""
)
INDICXNLI = tuple("as bn gu hi kn ml mr or pa ta te".split())
AMERICAS_NLI = _words("ay:aym bzd:bzd cni:cni gn:gn hch:hch nah:nah oto:oto qu:quy shp:shp tar:tar")
NUSAX = _words(
    """ace:ace ban:ban bbc:bbc bjn:bjn bug:bug en:eng id:ind jv:jav mad:mad min:min nij:nij
    su:sun"""
)
MTOP = tuple("de en es fr hi th".split())
# One treebank a language. GSD is written in traditional characters, GSDSimp in simplified ones.
UNER = _words(
    """ceb:ceb_gja da:da_ddt de:de_pud en:en_ewt hr:hr_set pt:pt_bosque qaf:qaf_arabizi ru:ru_pud
    sk:sk_snk sr:sr_set sv:sv_talbanken tl:tl_trg zh:zh_gsdsimp zh_Hant:zh_gsd"""
)
UNER_PUD = _words("de:de_pud en:en_pud pt:pt_pud ru:ru_pud sv:sv_pud zh_Hant:zh_pud")
MASSIVE = _words(
    """af:af-ZA am:am-ET ar:ar-SA az:az-AZ bn:bn-BD ca:ca-ES cy:cy-GB da:da-DK de:de-DE el:el-GR
    en:en-US es:es-ES fa:fa-IR fi:fi-FI fr:fr-FR he:he-IL hi:hi-IN hu:hu-HU hy:hy-AM id:id-ID
    is:is-IS it:it-IT ja:ja-JP jv:jv-ID ka:ka-GE km:km-KH kn:kn-IN ko:ko-KR lv:lv-LV ml:ml-IN
    mn:mn-MN ms:ms-MY my:my-MM nb:nb-NO nl:nl-NL pl:pl-PL pt:pt-PT ro:ro-RO ru:ru-RU sl:sl-SL
    sq:sq-AL sv:sv-SE sw:sw-KE ta:ta-IN te:te-IN th:th-TH tl:tl-PH tr:tr-TR ur:ur-PK vi:vi-VN
    zh:zh-CN zh_Hant:zh-TW"""
)

# Of SIB-200's languages, those of Africa, and the indigenous and creole ones of the Americas.
AFRICA = tuple(
    """aeb af ak am ary arz bem bm cjk dik dyu ee fon fuv ha ig kab kam kbp kea kg ki kmb kr kr_Arab
    lg ln lua luo mg mos nqo nso nus ny om rn rw sg sn so ss st sw taq taq_Tfng ti tn ts tum tw tzm
    umb wo xh yo zu""".split()
)
AMERICAS = tuple("ay gn ht pap qu".split())
# FLORES' passages: most of its languages, and five in Latin script besides.
_BELEBELE_OF_FLORES = tuple(
    """acm af am apc ar ar_Latn ars ary arz as az bg bm bn bo ca ceb ckb cs da de el en es et eu
    fa fi fr fuv gn gu ha he hi hr ht hu hy id ig ilo is it ja jv ka kac kea kk km kn ko ky lg
    ln lo lt luo lv mg mi mk ml mn mr ms mt my nb ne nl nso ny om or pa pl ps pt ro ru rw sd shn
    si sk sl sn so sq sr ss st su sv sw ta te tg th ti tl tn tr ts uk ur uz vi war wo xh yo zh
    zh_Hant zu""".split()
)
BELEBELE = {code: FLORES[code] for code in _BELEBELE_OF_FLORES} | _words(
    "bn_Latn:ben_Latn hi_Latn:hin_Latn ne_Latn:npi_Latn si_Latn:sin_Latn ur_Latn:urd_Latn"
)
XSTORYCLOZE = tuple("ar en es eu hi id my ru sw te zh".split())
XCSQA = _words(
    """ar:ar de:de en:en es:es fr:fr hi:hi it:it ja:jap nl:nl pl:pl pt:pt ru:ru sw:sw ur:ur vi:vi
    zh:zh"""
)
XWINOGRAD = _words("en:en fr:fr ja:jp pt:pt ru:ru zh:zh")
# ISO 639-3; jiantx's code is that too where a language has no code of two letters.
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
