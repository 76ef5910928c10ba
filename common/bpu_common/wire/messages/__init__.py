"""Converters between the values of `bpu_common` and their messages: `from_pb(to_pb(x)) == x`.

One module per `.proto`: `board`, `daemon`, `model`; `inference` is another protocol's. They are
derived (`derive`) but for what `rules` lists. A message that does not describe a value raises
ModelFormatError (container) or InputError (calls).
"""
