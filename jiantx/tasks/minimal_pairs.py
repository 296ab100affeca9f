"""Minimal pairs: an acceptable sentence should be more probable than one that differs in a word."""

from jiantx.sources import Concat, Hub, Row
from jiantx.task_types import SentenceRanking
from jiantx.tasks import languages
from jiantx.tasks.registry import register

# One split of test sentences: scores as validation and as test are of the same pairs.
_ONE_SET = {"validation": "train", "test": "train"}

# The 67 paradigms, each a configuration of 1,000 pairs. The column `UID` names a row's paradigm,
# `linguistics_term` its phenomenon, `field` its part of grammar.
BLIMP = tuple(
    """adjunct_island anaphor_gender_agreement anaphor_number_agreement animate_subject_passive
    animate_subject_trans causative complex_NP_island
    coordinate_structure_constraint_complex_left_branch
    coordinate_structure_constraint_object_extraction determiner_noun_agreement_1
    determiner_noun_agreement_2 determiner_noun_agreement_irregular_1
    determiner_noun_agreement_irregular_2 determiner_noun_agreement_with_adj_2
    determiner_noun_agreement_with_adj_irregular_1 determiner_noun_agreement_with_adj_irregular_2
    determiner_noun_agreement_with_adjective_1 distractor_agreement_relational_noun
    distractor_agreement_relative_clause drop_argument ellipsis_n_bar_1 ellipsis_n_bar_2
    existential_there_object_raising existential_there_quantifiers_1
    existential_there_quantifiers_2 existential_there_subject_raising expletive_it_object_raising
    inchoative intransitive irregular_past_participle_adjectives irregular_past_participle_verbs
    irregular_plural_subject_verb_agreement_1 irregular_plural_subject_verb_agreement_2
    left_branch_island_echo_question left_branch_island_simple_question
    matrix_question_npi_licensor_present npi_present_1 npi_present_2 only_npi_licensor_present
    only_npi_scope passive_1 passive_2 principle_A_c_command principle_A_case_1 principle_A_case_2
    principle_A_domain_1 principle_A_domain_2 principle_A_domain_3 principle_A_reconstruction
    regular_plural_subject_verb_agreement_1 regular_plural_subject_verb_agreement_2
    sentential_negation_npi_licensor_present sentential_negation_npi_scope
    sentential_subject_island superlative_quantifiers_1 superlative_quantifiers_2
    tough_vs_raising_1 tough_vs_raising_2 transitive wh_island wh_questions_object_gap
    wh_questions_subject_gap wh_questions_subject_gap_long_distance wh_vs_that_no_gap
    wh_vs_that_no_gap_long_distance wh_vs_that_with_gap wh_vs_that_with_gap_long_distance""".split()
)


def blimp_source(*paradigms: str) -> Concat:
    """The pairs of some paradigms, for scores of their own: `blimp.replace(source=…)`.

    Args:
        paradigms: Some of `BLIMP`.
    """
    return Concat(*(Hub("nyu-mll/blimp", name, splits=_ONE_SET) for name in paradigms))


def grammar_and_paradigm(row: Row) -> list[str]:
    """The part of grammar, such as syntax, and the paradigm."""
    return [row["field"], row["UID"]]


# Warstadt et al. 2020 (1912.00582), by pseudo-log-likelihood (Salazar et al. 2020, 1910.14659). Its
# overall score is the mean over paradigms, and so over pairs, since all are of one size.
blimp = register(
    SentenceRanking(
        name="blimp",
        source=blimp_source(*BLIMP),
        better="sentence_good",
        worse="sentence_bad",
        named_groups=grammar_and_paradigm,
    )
)

# Jumelet et al. 2025 (2504.02768): agreement of subjects, from Universal Dependencies and UniMorph.
multiblimp = register(
    SentenceRanking(
        name="multiblimp",
        source=Hub(
            "jumelet/multiblimp", "{language}", languages=languages.MULTIBLIMP, splits=_ONE_SET
        ),
        better="sen",
        worse="wrong_sen",
    )
)
