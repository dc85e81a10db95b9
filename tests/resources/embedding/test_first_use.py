from __future__ import annotations

import subprocess
import sys

FIRST_INFERENCE_BY_SEVERAL_THREADS = """
import sys, threading
import numpy as np
from taxomind_resources.embedding.runtimes import openvino_module
openvino = openvino_module()
from openvino import opset13 as operations
sys.setswitchinterval(1e-6)
ids = operations.parameter([-1, 4], np.int64)
model = openvino.Model([operations.result(operations.convert(ids, "f32"))], [ids])
compiled = openvino.Core().compile_model(model, "CPU", {"NUM_STREAMS": 2})
together = threading.Barrier(4)
def infer():
    request, numbers = compiled.create_infer_request(), np.ones((4, 4), np.int64)
    together.wait()
    request.infer({0: numbers}, share_inputs=True)
threads = [threading.Thread(target=infer) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_inference_by_several_threads_at_once_does_not_hang() -> None:
    for _ in range(3):
        subprocess.run([sys.executable, "-c", FIRST_INFERENCE_BY_SEVERAL_THREADS], check=True, timeout=60)
