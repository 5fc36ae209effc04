"""Names of files: junk, companions, templates, suffixes, lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.files.templates import NameFields, render_name, stem_of
from dropmill.model.names import (
    NAME_MAX_BYTES,
    companions_of,
    is_companion_name,
    junk,
    junk_directory,
    junk_path,
    owner_names,
    shorten,
    split_extension,
    with_suffix,
)

NAMES = st.binary(min_size=1, max_size=400).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_"))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


@pytest.mark.parametrize(
    "name",
    [
        b"._x",
        b".DS_Store",
        b".name.jpg.X7a2Qz",
        b"Thumbs.db",
        b"THUMBS.DB",
        b"desktop.ini",
        b"a.jpg.part",
        b"a.filepart",
        b"a.jpg.crdownload",
        b"a.TMP",
        b"~$report.jpg",
        b".dropmill-12",
        b"@eaDir",
    ],
)
def test_w09_junk_names_are_never_jobs(name):
    assert junk(name)


@pytest.mark.parametrize("name", [b"@eaDir", b"#recycle", b"__MACOSX", b".stfolder", b".stversions", b".dropmill"])
def test_w09_junk_directories_are_not_entered(name):
    assert junk_directory(name)
    assert junk_path(b"a/" + name + b"/IMG.jpg")


@pytest.mark.parametrize("name", [b"IMG.jpg", b"part.jpg", b"a.party", b"tmp", b"caf\xe9.png", b"~x.jpg", b"$.jpg"])
def test_w09_ordinary_names_are_not_junk(name):
    assert not junk(name)
    assert not junk_path(b"sub/" + name)


def test_w09_extra_patterns_match_names_or_paths():
    assert junk(b"x.BAK", ["*.bak"])
    assert junk(b"raw/x.jpg", ["raw/*"])
    assert not junk(b"x.jpg", ["raw/*"])
    assert junk_path(b"proofs/a/x.jpg", ["proofs"])


def test_companions_share_stem_or_whole_name():
    siblings = [b"IMG.jpg", b"IMG.xmp", b"IMG.jpg.xmp", b"IMG.XMP", b"IMG.MOV", b"IMG2.xmp", b"IMG.txt", b"IMG_1.jpg"]
    assert companions_of(b"IMG.jpg", siblings, ["xmp", "mov"]) == [b"IMG.MOV", b"IMG.XMP", b"IMG.jpg.xmp", b"IMG.xmp"]


def test_companions_wait_for_the_last_image_of_their_stem():
    siblings = [b"IMG.jpg", b"IMG.heic", b"IMG.xmp", b"IMG.jpg.xmp"]
    assert companions_of(b"IMG.jpg", siblings, ["xmp"]) == [b"IMG.jpg.xmp"]
    assert companions_of(b"IMG.heic", [b"IMG.heic", b"IMG.xmp"], ["xmp"]) == [b"IMG.xmp"]


def test_companion_names_and_their_owners():
    assert is_companion_name(b"a.XMP", ["xmp"]) and is_companion_name(b"a.cr2", [".CR2"])
    assert not is_companion_name(b"xmp", ["xmp"]) and not is_companion_name(b".xmp", ["xmp"])
    assert b"IMG.JPG" in owner_names(b"IMG.xmp") and b"IMG.jpg" in owner_names(b"IMG.jpg.xmp")


@pytest.mark.parametrize(
    ("template", "fields", "name"),
    [
        ("{dir}/{stem}-{rendition}.{ext}", NameFields(b"a/b", b"x", "thumb", "jpg"), b"a/b/x-thumb.jpg"),
        ("{dir}/{stem}-{rendition}.{ext}", NameFields(b"", b"x", "thumb", "jpg"), b"x-thumb.jpg"),
        ("{sha256:2}/{sha256}.{ext}", NameFields(sha256="ab" * 32, ext="png"), b"ab/" + b"ab" * 32 + b".png"),
        ("{date:%Y/%m}/{stem}.{ext}", NameFields(stem=b"x", ext="jpg", date="2024:05:06 07:08:09"), b"2024/05/x.jpg"),
        ("{date}/{stem}.{ext}", NameFields(stem=b"x", ext="jpg", date="0000:00:00 00:00:00"), b"undated/x.jpg"),
        ("{date:%Y/%m}/{stem}.{ext}", NameFields(stem=b"x", ext="jpg"), b"undated/x.jpg"),
        ("{inbox}/{label}/{line}.{ext}", NameFields(inbox="cam", label="a/b", line=7, ext="jpg"), b"cam/a/b/7.jpg"),
        ("{stem}.{ext}", NameFields(stem=b"caf\xe9", ext="jpg"), b"caf\xe9.jpg"),
        ("{label}/{stem}.{ext}", NameFields(stem=b"x", ext="jpg", label="../../etc"), b"_/_/etc/x.jpg"),
        ("{label}/{stem}.{ext}", NameFields(stem=b"a/b\0c", ext="jpg", label="/etc"), b"etc/a_b_c.jpg"),
        ("{dir}/{stem}.{ext}", NameFields(b".dropmill", b"x", ext="jpg"), b"_dropmill/x.jpg"),
    ],
)
def test_templates_give_the_names_one_expects(template, fields, name):
    assert render_name(template, fields) == name


def test_s04_a_collision_suffix_follows_the_stem_in_all_renditions():
    for rendition in ("large", "thumb"):
        fields = NameFields(b"d", b"IMG", rendition, "jpg")
        assert render_name("{dir}/{stem}-{rendition}.{ext}", fields, "0123abcd") == (
            b"d/IMG~0123abcd-" + rendition.encode() + b".jpg"
        )
    fields = NameFields(label="L", rendition="thumb", ext="jpg")
    assert render_name("{label}-{rendition}.{ext}", fields, "0123abcd") == b"L~0123abcd-thumb.jpg"
    assert with_suffix(b"a/IMG.jpg", "0123abcd") == b"a/IMG~0123abcd.jpg"
    assert with_suffix(b"IMG-large.jpg", "0123abcd", b"-large.jpg") == b"IMG~0123abcd-large.jpg"


def test_w18_long_names_keep_rendition_and_extension():
    one, other = (
        render_name("{stem}-{rendition}.{ext}", NameFields(b"", b"x" * 250 + last, "large", "jpg"))
        for last in (b"1", b"2")
    )
    assert one != other
    for name in (one, other):
        assert len(name) == NAME_MAX_BYTES and name.endswith(b"-large.jpg")


def test_w18_shortening_leaves_no_half_character():
    assert shorten("ä".encode() * 200 + b".jpg").decode().endswith(".jpg")
    assert shorten("日本".encode() * 100 + b".jpeg").decode().endswith(".jpeg")


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_w18_every_component_fits_and_short_ones_stay(parts):
    path = b"/".join(parts)
    short = shorten(path)
    assert short == shorten(path)
    for before, after in zip(parts, short.split(b"/"), strict=True):
        assert len(after) <= NAME_MAX_BYTES
        assert after == before or len(before) > NAME_MAX_BYTES
    assert shorten(short) == short


@given(NAMES, NAMES)
def test_s04_different_names_stay_different(one, other):
    padded = (one + b"p" * 300, other + b"p" * 300)
    assert (shorten(padded[0]) == shorten(padded[1])) == (one == other)
    assert len(with_suffix(one, "0123abcd").rpartition(b"/")[2]) <= NAME_MAX_BYTES


@given(NAMES, TEXTS, TEXTS, TEXTS, st.sampled_from(["", "0123abcd"]))
def test_s04_no_value_escapes_the_output(stem, directory, label, inbox, collision):
    fields = NameFields(directory.encode(), stem, "r", "jpg", "ab" * 32, inbox, label, 3, label)
    for template in ("{dir}/{stem}-{rendition}.{ext}", "{label}/{inbox}/{date:%Y/%m}/{line}.{ext}"):
        parts = render_name(template, fields, collision).split(b"/")
        for part in parts:
            assert part not in {b"", b".", b".."} and b"\0" not in part and len(part) <= NAME_MAX_BYTES
            assert not part.lower().startswith(b".dropmill")


def test_stems_and_extensions():
    assert split_extension(b"a.b.jpg") == (b"a.b", b".jpg")
    assert split_extension(b".hidden") == (b".hidden", b"")
    assert split_extension(b"..jpg") == (b"..jpg", b"")
    assert stem_of(b"sub.dir/IMG.jpg") == b"IMG"
