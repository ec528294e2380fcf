#!/usr/bin/env python3
"""Checks a proof of `qaqpa audit prove` with the standard library alone: prove.py PROOF [JWKS]. Exit 0 if it holds, else 1.

The record's leaf leads by the path to the root (RFC 9162, 2.1.3.2); the head tells that root, and is signed with ES256 by
the key of the proof; with a second file, that key has to be one of the published ones.
"""
import base64, hashlib, json, sys
P = 2**256 - 2**224 + 2**192 + 2**96 - 1  # P-256 (FIPS 186-4, D.1.2.3)
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)

def need(holds, why):  # `assert` would be left out by `python -O`
    if not holds: raise ValueError(why)
def add(p, q):
    if p is None or q is None: return p or q
    if p[0] == q[0] and (p[1] + q[1]) % P == 0: return None
    over, under = (3 * p[0] * p[0] - 3, 2 * p[1]) if p == q else (q[1] - p[1], q[0] - p[0])
    slope = over * pow(under, -1, P)
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P
def times(k, p):
    product = None
    while k: product, p, k = (add(product, p) if k & 1 else product), add(p, p), k >> 1
    return product
def b64url(text): return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
def number(raw): return int.from_bytes(raw, "big")
def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()

def signed(message, signature, jwk):
    need((jwk["kty"], jwk["crv"], len(signature)) == ("EC", "P-256", 64), "the signature is not ES256")
    q, r, s = (number(b64url(jwk["x"])), number(b64url(jwk["y"]))), number(signature[:32]), number(signature[32:])
    need(max(q) < P and (q[1] ** 2 - q[0] ** 3 + 3 * q[0] - B) % P == 0, "the key is no point of the curve")
    need(0 < r < N and 0 < s < N, "the signature is out of range")
    point = add(times(number(sha(message)) * pow(s, -1, N) % N, G), times(r * pow(s, -1, N) % N, q))
    need(point and point[0] % N == r, "the signature does not fit")
def check(proof, published=None):
    header, claims, signature = proof["head"].split(".")
    signed(f"{header}.{claims}".encode(), b64url(signature), proof["jwk"])
    header, head = json.loads(b64url(header)), json.loads(b64url(claims))
    need((header["typ"], header["alg"]) == ("qaqpa-tree-head+jwt", "ES256"), "it is signed, but no head")
    keys = [(key.get("x"), key.get("y")) for key in published["keys"]] if published is not None else None
    need(keys is None or (proof["jwk"]["x"], proof["jwk"]["y"]) in keys, "the key is not published")
    need((head["size"], head["root"]) == (proof["size"], proof["root"]), "the head is of another tree")
    at, last, node = proof["index"], proof["size"] - 1, sha(b"\0", base64.b64decode(proof["payload"], validate=True))
    need(0 <= at <= last, "there is no such record")
    for step in map(bytes.fromhex, proof["path"]):
        need(last > 0, "the path is too long")
        node = sha(b"\1", step, node) if at & 1 or at == last else sha(b"\1", node, step)
        while at == last and at and not at & 1: at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    need(last == 0 and node.hex() == proof["root"], "the path does not lead to the root")
    return f"ok: record {proof['index'] + 1} of {proof['size']} in trail {head['iss']}"
if __name__ == "__main__":
    try: print(check(*(json.load(open(name)) for name in sys.argv[1:])))
    except Exception as error: sys.exit(f"error: {error}")
