"""The public names, for type checkers; `__init__.py` resolves them on first use."""

from jiantx.evaluation import evaluate as evaluate
from jiantx.evaluation import predict as predict
from jiantx.heads import Head as Head
from jiantx.heads import HeadOutput as HeadOutput
from jiantx.heads import register_head as register_head
from jiantx.model import MultitaskConfig as MultitaskConfig
from jiantx.model import MultitaskModel as MultitaskModel
from jiantx.report import Report as Report
from jiantx.report import Score as Score
from jiantx.sampling import Sampling as Sampling
from jiantx.sources import Concat as Concat
from jiantx.sources import DataError as DataError
from jiantx.sources import Files as Files
from jiantx.sources import Hub as Hub
from jiantx.sources import Rows as Rows
from jiantx.sources import data_root as data_root
from jiantx.sources import read_conllu as read_conllu
from jiantx.sources import read_jsonl as read_jsonl
from jiantx.sources import read_lines as read_lines
from jiantx.sources import read_squad as read_squad
from jiantx.stages import Stage as Stage
from jiantx.stages import Stages as Stages
from jiantx.stages import fingerprint as fingerprint
from jiantx.synthetic import default_encoder as default_encoder
from jiantx.synthetic import default_root as default_root
from jiantx.task import Task as Task
from jiantx.task import get_task as get_task
from jiantx.task import register as register
from jiantx.task_types import Classification as Classification
from jiantx.task_types import MaskedLM as MaskedLM
from jiantx.task_types import MultipleChoice as MultipleChoice
from jiantx.task_types import QuestionAnswering as QuestionAnswering
from jiantx.task_types import Regression as Regression
from jiantx.task_types import Retrieval as Retrieval
from jiantx.task_types import TokenClassification as TokenClassification
from jiantx.tasks.benchmarks import XTREME as XTREME
from jiantx.tasks.benchmarks import list_tasks as list_tasks
from jiantx.trainer import Trainer as Trainer

__version__: str
