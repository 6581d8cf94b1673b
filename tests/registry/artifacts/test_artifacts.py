"""Bytes that are left under their hash."""

import hashlib

CONTENT = bytes(range(256)) * 8


async def test_bytes_are_kept_under_their_hash_and_come_back_as_they_were(registry):
    put = await registry.http.post("/artifacts", content=CONTENT, headers={"Content-Type": "image/png"})
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert put.json() == {"hash": digest, "size": 2048, "media_type": "image/png"}
    got = await registry.http.get(f"/artifacts/{digest}")
    assert (got.content, got.headers["content-type"]) == (CONTENT, "image/png")


async def test_the_same_bytes_are_kept_once_and_keep_their_first_type(registry):
    for media_type in ("text/plain", "text/html"):
        await registry.http.post("/artifacts", content=b"x", headers={"Content-Type": media_type})
    got = await registry.http.get(f"/artifacts/{hashlib.sha256(b'x').hexdigest()}")
    assert got.headers["content-type"].startswith("text/plain")
    assert got.headers["content-disposition"] == "attachment"


async def test_eight_mebibytes_are_kept_and_a_byte_more_is_refused(registry):
    most = b"x" * (8 * 1024 * 1024)
    assert (await registry.http.post("/artifacts", content=most)).status_code == 200
    assert (await registry.http.post("/artifacts", content=most + b"x")).status_code == 413


async def test_what_is_not_there_or_another_tenants_is_not_found(registry):
    await registry.http.post("/artifacts", content=b"secret")
    stranger = await registry.client_of("operator", "acme")
    digest = hashlib.sha256(b"secret").hexdigest()
    for path in (digest, "0" * 64, "not-a-hash", "%00"):
        assert (await stranger.get(f"/artifacts/{path}")).status_code == 404
