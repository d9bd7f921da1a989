"""XML files in encodings that Python's parser can't read, as tools on Windows write them.

The parser knows UTF-8, UTF-16 and Latin-1. Files in GB2312, GBK, Big5, Shift-JIS, EUC-KR and others
that they declare are decoded first.
"""

import codecs
import re

_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([A-Za-z][\w.:-]*)["']""")
_UTF8 = "utf-8"
_PARSED = frozenset({"ascii", "iso8859-1"})
"""Codecs that the parser knows, too."""
_WIDER = {
    "big5": "cp950",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
}
"""Codec -> that of what Windows writes under its name; browsers read it in the same way."""


def codec_of(data: bytes) -> str | None:
    """Return the codec to decode a file with before it is parsed; None if there is no need.

    Args:
        data: the content of the file.

    Raises:
        LookupError: if Python does not know the declared encoding.
    """
    if data.startswith(codecs.BOM_UTF8):
        return _UTF8  # whatever the file declares
    declared = _DECLARED.match(data)
    if declared is None:
        return None
    name = codecs.lookup(declared[1].decode("ascii")).name
    if name.startswith("utf-16"):
        # .NET declares this in files that are saved as UTF-8 then; here, a byte is a character.
        return _UTF8
    return None if name in (_UTF8, *_PARSED) else _WIDER.get(name, name)


def as_utf8(data: bytes) -> bytes:
    """Return the content of a file for a parser of UTF-8.

    Files in an encoding that the parser knows are returned as they are.

    Raises:
        LookupError: if Python does not know the declared encoding.
        ValueError: if the content is not in that encoding.
    """
    codec = codec_of(data)
    return data if codec is None else data.decode(codec).encode()


def is_undeclared(data: bytes) -> bool:
    """Whether a file that declares UTF-8, or nothing, is in another encoding."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or codec_of(data) is not None:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        declared = _DECLARED.match(data)
        return declared is None or codecs.lookup(declared[1].decode("ascii")).name == _UTF8
    return False
