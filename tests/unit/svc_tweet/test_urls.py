"""What counts as an address in a text."""

import pytest

from svc_tweet.domain.urls import find_urls


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_urls(text)]


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("http://example.com", ["http://example.com"]),
        ("see example.com.", ["example.com"]),
        ("a.com b.co.uk/x?y=1&z=2.", ["a.com", "b.co.uk/x?y=1&z=2"]),
        ("https://en.wikipedia.org/wiki/A_(b)", ["https://en.wikipedia.org/wiki/A_(b)"]),
        ("(see http://example.com/a)", ["http://example.com/a"]),
        ("http://example.com/a(b(c)d)e", ["http://example.com/a(b(c)d)e"]),
        ("http://twitter.com/これは日本語です。example.com中国語", ["http://twitter.com/", "example.com"]),
        ("日本語example.com中国語", ["example.com"]),
        ("http://日本語.jp/x", ["http://日本語.jp/x"]),
        ("http://example.中国", ["http://example.中国"]),
        ("例え.中国", []),
        ("a_b.example.com/x", ["b.example.com/x"]),
        ("http://a_b.example.com/", ["http://a_b.example.com/"]),
        ("http://https://example.com", ["https://example.com"]),
        ("EXAMPLE.COM/A", ["EXAMPLE.COM/A"]),
        ("http://foo.com:8080/a?q=1#f!", ["http://foo.com:8080/a?q=1#f"]),
        ("\u202ahttp://a.com\u202c", ["http://a.com"]),
        ("😀 http://a.co/ü/ж", ["http://a.co/ü/ж"]),
        ("me@example.com", []),
        ("@example.com #example.com $example.com", []),
        ("x/example.com .example.com", []),
        ("e.g. i.e. 3.14 a..b file.txtx", []),
        ("http://foo http://-foo.com http://192.168.0.1/", []),
        ("end.Nexte", []),
        ("x" * 64 + ".com", []),
    ],
)
def test_addresses_are_found_as_twitter_text_finds_them(text: str, urls: list[str]) -> None:
    assert found(text) == urls
