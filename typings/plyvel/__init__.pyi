from plyvel._plyvel import DB as DB
from plyvel._plyvel import CorruptionError as CorruptionError
from plyvel._plyvel import Error as Error
from plyvel._plyvel import IOError as IOError

__version__: str
__leveldb_version__: str
