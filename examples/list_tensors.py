#!/usr/bin/env python3
"""Lists the tensors of a model through the shared library, with nothing but ctypes: list_tensors.py MODEL

LD_LIBRARY_PATH must lead to libtola.so.0 where it is not installed."""
import ctypes
import sys


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("offset", ctypes.c_uint64), ("message", ctypes.c_char * 1008)]


class TensorInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("shape", ctypes.POINTER(ctypes.c_uint64)), ("elements", ctypes.c_uint64),
                ("bytes", ctypes.c_uint64), ("offset", ctypes.c_uint64), ("file", ctypes.c_uint32),
                ("storage", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("n_dims", ctypes.c_uint16),
                ("dtype", ctypes.c_uint16)]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n")[0])
    tola = ctypes.CDLL("libtola.so.0")
    tola.tola_checkpoint_tensor.restype = ctypes.POINTER(TensorInfo)
    tola.tola_checkpoint_tensor.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    tola.tola_checkpoint_tensor_count.restype = ctypes.c_size_t
    tola.tola_checkpoint_tensor_count.argtypes = [ctypes.c_void_p]
    tola.tola_checkpoint_close.argtypes = [ctypes.c_void_p]
    tola.tola_dtype_name.restype = ctypes.c_char_p
    model, error = ctypes.c_void_p(), Error()
    if tola.tola_checkpoint_open(sys.argv[1].encode(), None, ctypes.byref(model), ctypes.byref(error)):
        sys.exit(error.message.decode("utf-8", "replace"))
    for i in range(tola.tola_checkpoint_tensor_count(model)):
        t = tola.tola_checkpoint_tensor(model, i).contents
        print(t.name.decode(), tola.tola_dtype_name(t.dtype).decode(), *t.shape[:t.n_dims])
    tola.tola_checkpoint_close(model)


if __name__ == "__main__":
    main()
