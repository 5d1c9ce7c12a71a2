"""One transfer, against a server that cuts, stalls, lies and redirects: the bytes are exact, or the error is plain."""

import resource
import socket
import ssl
import subprocess

import pytest

from avatarmake import host
from avatarmake.assets import download as module
from avatarmake.assets import web
from avatarmake.assets.download import download
from avatarmake.assets.meter import Meter
from avatarmake.assets.web import Form
from avatarmake.errors import Exit, StageError

BODY = bytes(range(256)) * 40  # 10,240 bytes
OTHER = bytes(reversed(BODY))


@pytest.fixture
def part(tmp_path):
    return tmp_path / "x.part"


def get(url, part, **options) -> bytes:
    download(url, part, Meter("x"), **options)
    return part.read_bytes()


def ranges(site) -> list[str | None]:
    return [request.headers.get("Range") for request in site.seen]


def cut_short(site, part, at=4000, **behaviour) -> str:
    """A first run that got `at` bytes and gave up."""
    url = site.add("/x", BODY, cuts=[at], statuses=[], **behaviour)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAUSES", ())
        with pytest.raises(StageError, match="4.0 kB of 10 kB") as e:
            get(url, part)
    assert e.value.exit == Exit.ENVIRONMENT and "goes on from there" in e.value.next
    assert part.read_bytes() == BODY[:at]
    site.seen.clear()
    return url


def test_a_file_arrives_whole_and_quietly(site, part, capfd):
    assert get(site.add("/x", BODY), part) == BODY
    assert capfd.readouterr() == ("", "")


def test_an_empty_file_and_one_of_unknown_length(site, part):
    assert get(site.add("/empty"), part) == b""
    module.forget(part)
    assert get(site.add("/x", BODY, says_length=False), part) == BODY


def test_a_cut_goes_on_where_it_was(site, part):
    assert get(site.add("/x", BODY, cuts=[3000, 2000]), part) == BODY
    assert ranges(site) == [None, "bytes=3000-", "bytes=5000-"]
    assert site.seen[1].headers["If-Range"] == '"1"'


def test_another_run_goes_on_where_the_first_was_cut(site, part):
    assert get(cut_short(site, part), part) == BODY
    assert ranges(site) == ["bytes=4000-"]


def test_a_run_that_was_stopped_at_the_very_end_asks_for_nothing(site, part):
    url = site.add("/x", BODY)
    get(url, part)
    site.seen.clear()
    assert get(url, part) == BODY and site.seen == []


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_in_between_is_fetched_anew(site, part, heeds_if_range):
    url = cut_short(site, part)
    site.add("/x", OTHER, etag='"2"', heeds_if_range=heeds_if_range)
    assert get(url, part) == OTHER


def test_a_file_that_became_shorter_is_fetched_anew(site, part):
    url = cut_short(site, part)
    site.add("/x", OTHER[:1000], heeds_if_range=False)
    assert get(url, part) == OTHER[:1000]


def test_a_server_without_ranges_starts_over(site, part):
    assert get(cut_short(site, part, ranges=False), part) == BODY


@pytest.mark.parametrize("verified", [True, False])
def test_without_a_validator_only_a_known_digest_lets_it_go_on(site, part, verified):
    url = cut_short(site, part, etag='W/"weak"')
    assert get(url, part, verified=verified) == BODY
    assert ranges(site) == (["bytes=4000-"] if verified else [None])
    assert "If-Range" not in site.seen[0].headers


def test_the_time_of_the_last_change_is_a_validator_too(site, part):
    when = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert get(cut_short(site, part, etag="", modified=when), part) == BODY
    assert site.seen[0].headers["If-Range"] == when


def test_a_slow_server_is_waited_for_and_a_silent_one_is_asked_again(site, part, monkeypatch, capfd):
    monkeypatch.setattr(web, "TIMEOUT", 0.4)
    assert get(site.add("/slow", BODY, pause=0.06), part) == BODY  # 0.6 s in all
    assert len(site.seen) == 1
    module.forget(part)
    assert get(site.add("/x", BODY, stalls=[1.5]), part) == BODY
    assert ranges(site)[1:] == [None, "bytes=1000-"]
    assert "sent nothing for 0.4 s; trying again" in capfd.readouterr().err


def test_a_busy_server_is_asked_again_and_given_up_in_the_end(site, part):
    assert get(site.add("/x", BODY, statuses=[503, 429]), part) == BODY
    module.forget(part)
    with pytest.raises(StageError, match=r"is busy \(HTTP 503\), 3 times in a row") as e:
        get(site.add("/x", BODY, statuses=[503] * 9), part)
    assert e.value.exit == Exit.ENVIRONMENT


def test_tries_that_get_on_are_not_counted(site, part, monkeypatch):
    monkeypatch.setattr(module, "PROGRESS", 1000)
    assert get(site.add("/x", BODY, cuts=[1000] * 9), part) == BODY


@pytest.mark.parametrize("status", [401, 403, 404, 410, 400])
def test_a_refusal_is_said_at_once(site, part, status):
    with pytest.raises(StageError, match=f"HTTP {status}") as e:
        get(site.add("/x", BODY, statuses=[status] * 9), part)
    assert e.value.exit == Exit.MISSING_ASSET and len(site.seen) == 1 and not part.exists()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_redirects_are_followed_and_go_on_too(site, part, name):
    site.add("/far", BODY, cuts=[4000])
    url = site.add("/x", redirect=(302, site.url("/far", name)))
    assert get(url, part) == BODY
    assert ranges(site) == [None, None, "bytes=4000-", "bytes=4000-"]


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_a_redirect_leads_to_the_web_only(site, part, target):
    with pytest.raises((StageError,), match="not safe|HTTP 302"):
        get(site.add("/x", redirect=(302, target)), part)
    assert not part.exists()


def test_a_circle_of_redirects_ends(site, part):
    with pytest.raises(StageError, match="HTTP 302"):
        get(site.add("/x", redirect=(302, site.url("/x"))), part)


PAGES = {"text/html": b"Quota exceeded", "application/octet-stream": b"\n<!doctype HTML><title>Quota exceeded</title>"}


@pytest.mark.parametrize("kind", PAGES)
def test_a_web_page_is_no_file_and_costs_nothing_that_is_there(site, part, kind):
    url = cut_short(site, part)
    site.add("/x", PAGES[kind], type=kind, etag='"2"')
    with pytest.raises(StageError, match="a web page came in place of the file"):
        get(url, part)
    assert part.read_bytes() == BODY[:4000]


# --- accounts ---------------------------------------------------------------------------------------------------------
ACCOUNT = {"username": "me@example.org", "password": "geheim&=% ü"}


def test_an_account_is_posted_in_the_body_and_a_cut_goes_on(site, part):
    assert get(site.add("/x", BODY, account=ACCOUNT, cuts=[4000]), part, form=Form(ACCOUNT)) == BODY
    assert [r.method for r in site.seen] == ["POST", "POST"] and ranges(site) == [None, "bytes=4000-"]
    assert all("geheim" not in r.path for r in site.seen)


@pytest.mark.parametrize("status", [0, 401, 403])
def test_a_wrong_password_is_said_as_such(site, part, status):
    url = site.add("/x", BODY, account=ACCOUNT, statuses=[status] if status else [])
    with pytest.raises(StageError, match="the account was not accepted") as e:
        get(url, part, form=Form(ACCOUNT | {"password": "falsch"}))
    assert "falsch" not in f"{e.value} {e.value!r}" and not part.exists() and len(site.seen) == 1


def test_an_account_goes_to_no_other_host(site, part):
    far = site.url("/far", "localhost")
    site.add("/far", BODY)
    assert get(site.add("/x", redirect=(302, far)), part, form=Form(ACCOUNT)) == BODY  # a file may well lie elsewhere
    assert [(r.method, r.body) for r in site.seen][1:] == [("GET", b"")]
    module.forget(part)
    site.seen.clear()
    with pytest.raises(StageError, match="it wants the account sent on to localhost"):
        get(site.add("/x", redirect=(307, far)), part, form=Form(ACCOUNT))
    assert [r.path for r in site.seen] == ["/x"]
    site.add("/near", BODY, account=ACCOUNT)
    assert get(site.add("/x", redirect=(307, site.url("/near"))), part, form=Form(ACCOUNT)) == BODY


def test_an_account_is_sent_over_https_only(part):
    with pytest.raises(StageError, match="over https only"):
        get("http://example.invalid/x", part, form=Form(ACCOUNT))


def test_a_form_does_not_show(part):
    assert "geheim" not in repr(Form(ACCOUNT)) + str(Form(ACCOUNT))


# --- the network and the disk -----------------------------------------------------------------------------------------
@pytest.fixture
def certificate(tmp_path):
    """A certificate that nobody has signed, for 127.0.0.1."""
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1".split()
    try:
        subprocess.run(
            ["openssl", *words, "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as e:
        pytest.skip(f"openssl makes no certificate here: {e}")
    return tmp_path / "cert.pem"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificates_are_verified(site, part, certificate, monkeypatch, variable):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    site.socket = context.wrap_socket(site.socket, server_side=True)
    url = site.add("/x", BODY, account=ACCOUNT).replace("http:", "https:")
    with pytest.raises(StageError, match="its certificate is not trusted") as e:
        get(url, part, form=Form(ACCOUNT))
    assert e.value.exit == Exit.ENVIRONMENT and "SSL_CERT_FILE" in e.value.next and site.seen == []
    monkeypatch.setenv(variable, str(certificate))
    assert get(url, part, form=Form(ACCOUNT)) == BODY
    module.forget(part)
    with pytest.raises(StageError, match="redirects to http://, which is not safe"):
        site.add("/x", redirect=(302, site.url("/y")))
        get(url, part)


def test_no_network_is_said_plainly(part, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(StageError, match="name cannot be resolved") as e:
        get("https://weights.example.org/x", part)
    assert e.value.exit == Exit.ENVIRONMENT and e.value.where == "weights.example.org"


def test_a_server_that_is_not_there(part):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with pytest.raises(StageError, match="refused"):
        get(f"http://127.0.0.1:{port}/x", part)


def test_too_little_disk_is_said_before_anything_is_written(site, part, monkeypatch):
    monkeypatch.setattr(host, "disk_free", lambda path: module.SPARE + 100)
    with pytest.raises(StageError, match="and 67 MB are needed") as e:
        get(site.add("/x", BODY), part)
    assert e.value.exit == Exit.ENVIRONMENT and not part.exists()


def test_a_disk_that_fills_up_keeps_what_is_there(site, part):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    url = site.add("/x", BODY * 100)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
        with pytest.raises(StageError, match="the disk is full") as e:
            get(url, part)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert e.value.exit == Exit.ENVIRONMENT
    assert get(url, part) == BODY * 100
    assert ranges(site)[1].startswith("bytes=")
