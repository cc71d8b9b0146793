"""The cases of every file of known answers, one module a subject."""


def ok(name, given, expect):
    return {"name": name, "input": given, "expect": expect}


def bad(name, given, error):
    return {"name": name, "input": given, "error": error}


def attempt(name, given, answer, refused):
    """`expect` with the answer, or `error` with the kind of refusal."""
    try:
        return ok(name, given, answer())
    except refused as error:
        return bad(name, given, str(error))


def refused(case):
    """The case, which must be a refusal."""
    assert "error" in case, case["name"]
    return case


def accepted(case):
    """The case, which must be an answer."""
    assert "expect" in case, (case["name"], case["error"])
    return case


def document(about, rules, cases):
    names = [case["name"] for case in cases]
    assert len(set(names)) == len(names), "names of cases must differ"
    return {"schema": "quorate-vectors/1", "rule": rules, "about": about, "cases": cases}
