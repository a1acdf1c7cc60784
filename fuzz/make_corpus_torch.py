"""Makes fuzz/corpus/{zip,pickle,torch,npy}: small files of every container and kind, good ones and bad ones.

Needs torch and numpy (any torch from 1.13 on); the files are committed, so that only who changes this has to run it.
tests/unit/test_torch.c opens those in corpus/torch."""

import collections
import argparse
import datetime
import io
import pathlib
import pickle
import struct
import tarfile
import warnings
import zipfile

import numpy as np
import torch

warnings.simplefilter("ignore")
torch.manual_seed(1)
HERE = pathlib.Path(__file__).resolve().parent / "corpus"


def put(kind, name, data):
    (HERE / kind).mkdir(parents=True, exist_ok=True)
    (HERE / kind / name).write_bytes(data)


def saved(value, **options):
    """torch.save into memory."""
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def legacy(value, **options):
    return saved(value, _use_new_zipfile_serialization=False, **options)


def zipped(members, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return out.getvalue()


def torch_zip(data_pkl, storages=(b"\0" * 16,), **more):
    members = {"archive/data.pkl": data_pkl, "archive/version": b"3\n"}
    members.update({f"archive/data/{i}": data for i, data in enumerate(storages)})
    members.update({"archive/" + name: data for name, data in more.items()})
    return zipped(members)


def tensor_pickle(numel=4, offset=0, size=(4,), stride=(1,), storage="FloatStorage", key="0"):
    """{"w": tensor} with numbers of one's own choice."""
    def ints(values):
        return b"(" + b"".join(b"L%dL\n" % v for v in values) + b"t"

    return (b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n" +
            storage.encode() + b"\nX" + struct.pack("<I", len(key)) + key.encode() +
            b"X\x03\x00\x00\x00cpuL%dL\ntQL%dL\n" % (numel, offset) + ints(size) + ints(stride) +
            b"\x89ccollections\nOrderedDict\n)RtRs.")


def old_tar():
    storages, tensors, system = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pickle.dump(1, storages, protocol=2)
    pickle.dump((11, "cpu", torch.FloatStorage), storages, protocol=2)
    storages.write(struct.pack("<q6f", 6, 0, 1, 2, 3, 4, 5))
    pickle.dump([(12, 11, 4, 2)], storages, protocol=2)
    pickle.dump(2, tensors, protocol=2)
    for key, storage, shape, stride in ((21, 11, (2, 3), (1, 2)), (22, 12, (2,), (1,))):
        pickle.dump((key, storage, torch.FloatTensor), tensors, protocol=2)
        n = len(shape)
        tensors.write(struct.pack(f"<ii{n}q{n}qq", n, 0, *shape, *stride, 0))
    pickle.dump({"protocol_version": 1000, "little_endian": True}, system, protocol=2)
    state = b"\x80\x02}(X\x06\x00\x00\x00weightX\x02\x00\x00\x0021QX\x04\x00\x00\x00biasX\x02\x00\x00\x0022Qu."
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (("sys_info", system.getvalue()), ("pickle", state), ("tensors", tensors.getvalue()),
                           ("storages", storages.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def scripted():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)
            self.register_buffer("mean", torch.ones(2))

        def forward(self, x):
            return self.layer(x) + self.mean

    out = io.BytesIO()
    torch.jit.save(torch.jit.script(Net()), out)
    return out.getvalue()


base = torch.arange(12, dtype=torch.float32)
views = {"a": base.reshape(3, 4), "b": base.reshape(3, 4).t(), "c": base[2:6], "scalar": torch.tensor(1.5),
         "empty": torch.zeros(0, 2), "expanded": torch.ones(2).expand(3, 2), "half": torch.ones(2).half(),
         "bool": torch.tensor([True, False]), "i64": torch.tensor([1, 2])}
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.SGD([weight], lr=0.5, momentum=0.9)
weight.sum().backward()
optimizer.step()
nested = {"model": collections.OrderedDict(w=weight, tied=weight), "optimizer": optimizer.state_dict(), "epoch": 3,
          "args": argparse.Namespace(lr=0.5, layers=[1, 2]), 7: [torch.zeros(1), None], "name": "x"}
quantized = {"q": torch.quantize_per_tensor(torch.ones(4), 0.5, 3, torch.quint8),
             "c": torch.quantize_per_channel(torch.ones(2, 2),
                                             torch.tensor([0.5, 1.0]), torch.tensor([0, 1]), 0, torch.qint8)}
sparse = {"coo": torch.eye(2).to_sparse(), "csr": torch.eye(2).to_sparse_csr()}
arrays = {"f": np.arange(6, dtype=np.float32).reshape(2, 3), "t": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
          "big": np.arange(3, dtype=">i2"), "s": np.float64(2.5), "o": np.array(["ab"])}
complex_views = {"z": torch.tensor([1 + 2j, 3 - 4j]).conj()}

put("torch", "views.pt", saved(views))
put("torch", "views-legacy.pt", legacy(views))
put("torch", "nested.pt", saved(nested))
put("torch", "nested-4.pt", saved(nested, pickle_protocol=4))
put("torch", "nested-legacy.pt", legacy(nested))
put("torch", "quantized.pt", saved(quantized))
put("torch", "sparse.pt", saved(sparse))
put("torch", "numpy.pt", saved(arrays))
put("torch", "complex.pt", saved(complex_views))
put("torch", "tensor.pt", saved(torch.ones(2, 2)))
put("torch", "script.pt", scripted())
put("torch", "old.tar", old_tar())
put("torch", "archive.zip", zipped({"data": b'{"n_envs": 1}', "policy.pth": saved({"w": torch.ones(2)}),
                                    "policy.optimizer.pth": saved(optimizer.state_dict()), "note.txt": b"x"}))
if hasattr(torch, "float8_e4m3fn"):
    put("torch", "float8.pt", saved({"a": torch.ones(4).to(torch.float8_e4m3fn),
                                     "b": torch.ones(2).to(torch.float8_e5m2)}))
put("torch", "big-endian.pt", torch_zip(tensor_pickle(), [struct.pack(">4f", 1, 2, 3, 4)], byteorder=b"big"))
put("torch", "deflated.pt", zipped({"archive/data.pkl": tensor_pickle(size=(2, 2), stride=(1, 2)),
                                    "archive/data/0": struct.pack("<4f", 1, 2, 3, 4)}, zipfile.ZIP_DEFLATED))
# files that are refused
put("torch", "bad-storage.pt", torch_zip(tensor_pickle(numel=5)))
put("torch", "bad-bounds.pt", torch_zip(tensor_pickle(size=(2, 3), stride=(2, 1))))
put("torch", "bad-offset.pt", torch_zip(tensor_pickle(offset=1)))
put("torch", "bad-overflow.pt", torch_zip(tensor_pickle(size=(2 ** 40, 2 ** 40), stride=(0, 0))))
put("torch", "bad-expanded.pt", torch_zip(tensor_pickle(size=(2 ** 50,), stride=(0,))))
put("torch", "bad-stride.pt", torch_zip(tensor_pickle(stride=(-1,))))
put("torch", "bad-key.pt", torch_zip(tensor_pickle(key="9")))
put("torch", "bad-system.pt", torch_zip(b"cos\nsystem\n(S'id'\ntR."))
put("torch", "bad-two.pt", zipped({"a/data.pkl": tensor_pickle(), "a/data/0": b"0" * 16, "a/DATA.pkl": b"N."}))
put("torch", "long-storage.pt", torch_zip(tensor_pickle(), [b"\0" * 20]))
put("torch", "bad-dots.pt", torch_zip(tensor_pickle(key="../0")))
doubled = b"".join(b"]q%c(h%ch%ce" % (i + 1, i, i) for i in range(40))
put("torch", "bad-bomb.pt", torch_zip(b"\x80\x02]q\x00K\x01a" + doubled + b"."))
put("torch", "bad-deep.pt", torch_zip(b"\x80\x02" + b"]" * 1000 + b"a" * 999 + b"."))
put("torch", "bad-cycle.pt", torch_zip(b"\x80\x02]q\x00h\x00a."))
put("torch", "bad-legacy-count.pt", legacy({"w": torch.ones(2)})[:-16] + struct.pack("<q2f", 3, 1, 1))

for protocol in range(6):
    value = {"a": [1, -2, 2 ** 40, 2 ** 70, 3.5, True, None], "b": (b"x\xff", "\u00e9", frozenset([1])), "d": {}}
    put("pickle", f"values-{protocol}.pkl", b"\0" + pickle.dumps(value, protocol=protocol))
put("pickle", "tensor.pkl", b"\0" + tensor_pickle())
put("pickle", "date.pkl", b"\0" + pickle.dumps({"d": datetime.date(2020, 1, 2), "p": pathlib.PurePosixPath("a/b")}, 2))
put("pickle", "numpy.pkl", b"\0" + pickle.dumps(arrays, 2))
put("pickle", "numpy-5.pkl", b"\0" + pickle.dumps(arrays, 5))
put("pickle", "script.pkl", b"\1\x80\x02c__torch__.m\nNet\n)\x81}(X\x01\x00\x00\x00wK\x01ub.")
with zipfile.ZipFile(io.BytesIO(saved(nested))) as inside:
    put("pickle", "nested.pkl", b"\0" + inside.read("archive/data.pkl"))
for name, text in {"system": b"cos\nsystem\n(S'id'\ntR.", "inst": b"(S'id'\nios\nsystem\n.", "ext": b"\x82\x01.",
                   "stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R."}.items():
    put("pickle", f"{name}.pkl", b"\0" + text)

for name, array in {"f4": np.arange(6, dtype="<f4").reshape(2, 3), "big": np.arange(6, dtype=">i8"),
                    "scalar": np.array(1.5),
                    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)), "text": np.array(["ab", "c"]),
                    "record": np.zeros(2, [("a", "<f4"), ("b", "<i2", (2,))])}.items():
    for version in ((1, 0), (2, 0), (3, 0)):
        out = io.BytesIO()
        np.lib.format.write_array(out, array, version=version)
        put("npy", f"{name}-{version[0]}.npy", out.getvalue())
for name, save in (("stored", np.savez), ("deflated", np.savez_compressed)):
    out = io.BytesIO()
    save(out, a=np.arange(6.0).reshape(2, 3), b=np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)))
    put("npy", f"{name}.npz", out.getvalue())
put("npy", "object.npy", b"\x93NUMPY\1\0\x36\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}" + b"x" * 8)

put("zip", "stored.zip", zipped({"a": b"hello", "b/c": b"x" * 300, "empty": b""}))
put("zip", "deflated.zip", zipped({"a": b"hello " * 1000, "b": bytes(range(256)) * 4}, zipfile.ZIP_DEFLATED))
put("zip", "bzip2.zip", zipped({"a": b"hello"}, zipfile.ZIP_BZIP2))
put("zip", "torch.zip", saved({"w": torch.ones(2)}))
put("zip", "none.zip", zipped({}))
out = io.BytesIO()
with zipfile.ZipFile(out, "w") as archive:
    with archive.open("a", "w", force_zip64=True) as member:
        member.write(b"zip64")
    archive.comment = b"a comment"
put("zip", "zip64.zip", out.getvalue())
print(sum(1 for path in HERE.rglob("*") if path.parent.name in ("zip", "pickle", "torch", "npy")), "files")
