"""The host daemon: one process per user that holds connections to boards.

It re-makes connections, runs measurements one at a time per board, keeps the last ten minutes of
telemetry and a log of jobs. It relays no inference. Everything works without it.
"""
