"""What users ask assistants: domains, intents and slots."""

import re
from collections.abc import Iterator

from jiantx.metrics import chunk_f1, token_accuracy
from jiantx.sources import DataError, Hub, Row
from jiantx.task_types import Classification, TokenClassification
from jiantx.tasks import languages
from jiantx.tasks.registry import register

INTENTS = tuple(
    """alarm_query alarm_remove alarm_set audio_volume_down audio_volume_mute audio_volume_other
    audio_volume_up calendar_query calendar_remove calendar_set cooking_query cooking_recipe
    datetime_convert datetime_query email_addcontact email_query email_querycontact email_sendemail
    general_greet general_joke general_quirky iot_cleaning iot_coffee iot_hue_lightchange
    iot_hue_lightdim iot_hue_lightoff iot_hue_lighton iot_hue_lightup iot_wemo_off iot_wemo_on
    lists_createoradd lists_query lists_remove music_dislikeness music_likeness music_query
    music_settings news_query play_audiobook play_game play_music play_podcasts play_radio
    qa_currency qa_definition qa_factoid qa_maths qa_stock recommendation_events
    recommendation_locations recommendation_movies social_post social_query takeaway_order
    takeaway_query transport_query transport_taxi transport_ticket transport_traffic
    weather_query""".split()
)
SLOTS = tuple(
    """alarm_type app_name artist_name audiobook_author audiobook_name business_name business_type
    change_amount coffee_type color_type cooking_type currency_name date definition_word device_type
    drink_type email_address email_folder event_name food_type game_name game_type general_frequency
    house_place ingredient joke_type list_name meal_type media_type movie_name movie_type
    music_album music_descriptor music_genre news_topic order_type person personal_info place_name
    player_setting playlist_name podcast_descriptor podcast_name radio_name relation song_name
    sport_type time time_zone timeofday transport_agency transport_descriptor transport_name
    transport_type weather_descriptor""".split()
)
SLOT_TAGS = ("O", *(f"{prefix}-{slot}" for slot in SLOTS for prefix in "BI"))
DOMAINS = tuple(
    "alarm calling event messaging music news people recipes reminder timer weather".split()
)
MASSIVE = Hub("AmazonScience/massive", "{language}", languages=languages.MASSIVE)
_SLOT = re.compile(r"\[\s*([a-z_]+)\s*:\s*([^\[\]]*?)\s*\]")  # [date : this week]
_BY_CHARACTER = ("ja-JP", "zh-CN", "zh-TW")  # as the authors' own code splits them


def _unmarked(annotated: str) -> tuple[str, list[tuple[int, int, str]]]:
    """The text of an annotated request, and (start, stop, slot) of its slots in characters.

    >>> _unmarked("wake me [date : this week] please")
    ('wake me this week please', [(8, 17, 'date')])
    """
    text = ""
    slots = []
    end = 0
    for match in _SLOT.finditer(annotated):
        text += annotated[end : match.start()]
        slots.append((len(text), len(text) + len(match[2]), match[1]))
        text += match[2]
        end = match.end()
    text += annotated[end:]
    if "[" in text or "]" in text:
        raise DataError(f"The request {annotated!r} is not annotated as `[slot : words]`.")
    return text, slots


def _word_spans(text: str, locale: str) -> Iterator[tuple[int, int]]:
    """(start, stop) of the words: what blanks separate, or one character each."""
    for chunk in re.finditer(r"\S+", text):
        if locale in _BY_CHARACTER and not chunk[0].isascii():
            yield from ((i, i + 1) for i in range(*chunk.span()))
        else:
            yield chunk.span()


def request_words(row: Row) -> list[str]:
    """The words of a request, annotated or raw."""
    annotated = row.get("annot_utt")
    text = _unmarked(annotated)[0] if annotated else row["utt"]
    return [text[start:stop] for start, stop in _word_spans(text, row["locale"])]


def slot_tags(row: Row) -> list[str] | None:
    """A tag for each word: the slot of its first letter. None where nothing is annotated.

    Raises:
        DataError: A slot holds no word's first letter.
    """
    annotated = row["annot_utt"]
    if not annotated:
        return None
    text, slots = _unmarked(annotated)
    tags = []
    tagged = None  # the slot of the word before
    without_words = set(slots)
    for start, _ in _word_spans(text, row["locale"]):
        slot = next((slot for slot in slots if slot[0] <= start < slot[1]), None)
        prefix = "I" if slot == tagged else "B"
        tags.append(f"{prefix}-{slot[2]}" if slot else "O")
        tagged = slot
        without_words.discard(slot)
    if without_words:
        slot_name = min(without_words)[2]
        raise DataError(f"The slot {slot_name!r} of the request {annotated!r} begins no word.")
    return tags


# FitzGerald et al. 2023 (2204.08582): the same requests in 52 locales, with an intent and slots.
massive_intent = register(
    Classification(
        name="massive_intent",
        source=MASSIVE,
        text="utt",
        labels=INTENTS,
        label="intent",
        max_length=64,
    )
)

massive_slots = register(
    TokenClassification(
        name="massive_slots",
        source=MASSIVE,
        words=request_words,
        tags=slot_tags,
        labels=SLOT_TAGS,
        metrics=(chunk_f1, token_accuracy),
        max_length=64,
    )
)

# Li et al. 2021 (2008.09335); the copy that has no slots.
mtop_domain = register(
    Classification(
        name="mtop_domain",
        source=Hub("mteb/mtop_domain", "{language}", languages=languages.MTOP),
        labels=DOMAINS,
        label="label_text",
        max_length=64,
    )
)
