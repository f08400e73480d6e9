"""The kinds of tables: a file each, see ``schema.exhibit``."""

import covidseg.schema  # noqa: F401 (it imports the kinds: whichever comes first, it has to be the schema)
