"""Bounds that both ends of a channel agree on."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 64 << 20
CHUNK_BYTES = 1 << 20
"""Upload chunk; larger ones gain nothing, smaller ones cost throughput."""

STREAM_WINDOW = 8
"""Requests of one stream that run at once; its answers keep their order."""

_MAX_METADATA_BYTES = 128 << 10  # three texts of errors.MAX_TEXT_BYTES, percent-encoded

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
)
