"""Values as protobuf messages (`messages`), and gRPC around them (`rpc`).

Only this package touches generated code (`gen`). The container and the simulator may use
`messages`, never `rpc`.
"""
