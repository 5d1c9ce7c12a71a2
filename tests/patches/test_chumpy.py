"""chumpy: the rules on sources of our own with the same constructs, and chumpy 0.70 itself with them applied."""

import subprocess

from avatarmake import patches
from tests.patches.conftest import write

OURS = {
    "chumpy/__init__.py": """
        from numpy import complex, unicode, bool, nan, object
        from numpy import linspace
    """,
    "chumpy/ch.py": """
        import inspect

        from scipy.sparse.linalg.interface import aslinearoperator

        names = inspect.getargspec(len)[0] + inspect.getargspec(max).args
    """,
    "chumpy/ch_ops.py": """
        def first(order, other):
            return order is 'C' or other is None
    """,
    "chumpy/solver.py": """
        import scipy.sparse as sp

        kind = sp.linalg.interface.LinearOperator
        kept = sp.linalg.norm
    """,
}
USE = """
import inspect, pickle, sys
import numpy as np
import chumpy
from chumpy import ch
assert (sys.version_info[:2], np.__version__) == ((3, 11), "1.26.4")

a, b = chumpy.array([[1.0, 2.0], [3.0, 4.0]]), chumpy.array([5.0, 6.0])
product = a.dot(b) * 2
assert product.r.tolist() == [34.0, 78.0]
jacobian = product.dr_wrt(b)
assert np.allclose(getattr(jacobian, "toarray", lambda: jacobian)(), 2 * a.r)

again = pickle.loads(pickle.dumps(product))
assert type(again) is type(product) and again.r.tolist() == product.r.tolist()
assert pickle.loads(pickle.dumps(a, protocol=2)).r.tolist() == a.r.tolist()

x = chumpy.zeros(3)
chumpy.minimize({"e": x - np.arange(3.0)}, x0=[x], method="dogleg", options={"disp": False})
assert np.allclose(x.r, np.arange(3.0))
assert (chumpy.int, chumpy.bool, chumpy.unicode, chumpy.object) == (int, bool, str, object)
print("ok")
"""


def test_rules_on_sources_of_our_own(tmp_path):
    write(tmp_path, OURS)
    found = patches.rehearse("chumpy", tmp_path)
    assert found == {
        "full-argument-list": 2,
        "equal-not-identical": 1,
        "builtins-for-numpy-aliases": 1,
        "linear-operator-imported": 1,
        "linear-operator-named": 1,
    }
    own = {"x": []}
    for name in ("chumpy/__init__.py", "chumpy/ch_ops.py"):
        exec(compile((tmp_path / name).read_text(), name, "exec"), own)
    assert (own["unicode"], own["complex"], own["first"]("".join("C"), 1)) == (str, complex, True)
    assert "interface" not in (tmp_path / "chumpy/ch.py").read_text()
    assert "sp.linalg.LinearOperator\nkept = sp.linalg.norm" in (tmp_path / "chumpy/solver.py").read_text()


def test_the_real_one_imports_computes_differentiates_optimises_and_pickles(chumpy_python):
    done = subprocess.run(
        [chumpy_python, "-W", "error::SyntaxWarning", "-c", USE], capture_output=True, text=True, cwd="/"
    )
    assert done.stdout.strip().endswith("ok"), done.stderr


def test_the_real_one_s_own_tests_pass(chumpy_python):
    site = next(chumpy_python.parents[1].glob("lib/python3*/site-packages"))
    words = [chumpy_python, "-W", "ignore", "-m", "unittest", "discover", "-s", site / "chumpy", "-t", site]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/")
    assert "Ran 42 tests" in done.stderr and done.stderr.strip().splitlines()[-1].startswith("OK"), done.stderr[-3000:]
