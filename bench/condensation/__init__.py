"""What a condensation method is (`Condenser`) and what it is given (`Task`)."""

from bench.condensation.condenser import Condenser as Condenser
from bench.condensation.condenser import MethodConfig as MethodConfig
from bench.condensation.condenser import PixelFormat as PixelFormat
from bench.condensation.decoders import Grid as Grid
from bench.condensation.pieces import ImageFiles as ImageFiles
from bench.condensation.pieces import Images as Images
from bench.condensation.pieces import Unit as Unit
from bench.condensation.task import Builder as Builder
from bench.condensation.task import Task as Task
from bench.condensation.task import unreadable as unreadable
from bench.progress import DOUBT as DOUBT
