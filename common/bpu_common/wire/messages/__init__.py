"""Converters between the values of `bpu_common` and their messages: `from_pb(to_pb(x)) == x`.

A message that does not describe a value raises ModelFormatError (container) or UsageError (calls).
"""
