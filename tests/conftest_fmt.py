import bpu_host.compiler.emit as emit, bpu_host.compiler.api as api
from bpu_common.network.check import check_network
import pytest
orig = emit.build_model
def checked(network,*a,**k):
    check_network(network,"net")
    from bpu_common.container import weights as w
    from bpu_common.wire.messages import network as wn
    from dataclasses import replace
    places=[]
    pc=w.pack_constants(network); it=iter(pc.parts)
    secs=[]
    for p in network.parts:
        if p.place.value=="BPU":
            pk=w.pack_weights(p.ops); places.append(pk.places); secs.append(pk.data)
        else: places.append(next(it)); secs.append(pc.data)
    data=wn.encode_network(network, wn.StoredArrays(tuple(places), pc.constants))
    net, st = wn.decode_network(data)
    parts=tuple(replace(p,ops=tuple(w.with_arrays(o,pl,memoryview(s)) for o,pl in zip(p.ops,ps))) for p,ps,s in zip(net.parts,st.parts,secs))
    net=replace(net,parts=parts,constants={c.name:w.constant_array(c,memoryview(pc.data)) for c in st.constants})
    check_network(net,"net")
    m=orig(network,*a,**k)
    print("SIZE", len(data), sum(len(s.fast_path) for s in m.segments if hasattr(s,'fast_path')))
    return m
emit.build_model=checked
api.build_model=checked
