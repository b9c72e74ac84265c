"""A dataset's files are found alike in a folder and in a tar, and nothing outside of either is."""

import io
import pickle
import tarfile

import pytest
from data_miniature import pack

from addp_bench.errors import BadData
from addp_bench.tasks.archives import Folder, Tar, open_files

CONTENT = {"a/b/one.txt": b"first", "a/two.bin": bytes(range(256)) * 5, "three": b""}


@pytest.fixture
def folder(tmp_path):
    for name, content in CONTENT.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    return tmp_path / "set"


@pytest.fixture(params=["folder", "tar", "tar without ./"])
def files(request, folder, tmp_path):
    if request.param == "folder":
        return open_files(folder)
    if request.param == "tar":
        return open_files(pack(folder, tmp_path / "set.tar"))
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for name in CONTENT:
            tar.add(folder / name, arcname=name)
    return open_files(tmp_path / "set.tar")


def test_files_are_listed_sized_and_read_alike(files):
    assert files.names() == sorted(CONTENT)
    for name, content in CONTENT.items():
        assert files.has(name)
        assert files.has(f"./{name}")
        assert (files.size(name), files.read(name)) == (len(content), content)


def test_what_is_opened_can_be_handed_to_another_process(files):
    assert pickle.loads(pickle.dumps(files)).read("a/two.bin") == CONTENT["a/two.bin"]


def test_a_file_that_is_not_there_is_named(files):
    assert not files.has("a/four")
    assert not files.has("a")  # a folder is no file
    for ask in (files.read, files.size):
        with pytest.raises(BadData, match=r"set.*a/four"):
            ask("a/four")


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "a\\..\\b", "nul\0", "", "."])
def test_a_name_that_leads_outside_is_refused(files, folder, name):
    (folder.parent / "secret").write_text("not yours")
    for ask in (files.has, files.size, files.read):
        with pytest.raises(BadData, match="leads outside"):
            ask(name)


def test_a_link_out_of_a_folder_is_refused_and_one_within_is_followed(folder):
    (folder.parent / "secret").write_text("not yours")
    (folder.parent / "others").mkdir()
    (folder.parent / "others" / "x").write_text("not yours")
    (folder / "out").symlink_to(folder.parent / "secret")
    (folder / "away").symlink_to(folder.parent / "others")
    (folder / "within").symlink_to(folder / "a" / "two.bin")
    for name in ("out", "away/x"):
        with pytest.raises(BadData, match="link that leads out"):
            Folder(folder).read(name)
    assert Folder(folder).read("within") == CONTENT["a/two.bin"]


def test_a_folder_that_is_itself_a_link_is_a_folder(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert Folder(tmp_path / "link").read("a/b/one.txt") == b"first"


def crafted(file, members):
    with tarfile.open(file, "w") as tar:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            member.size = 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"abc"))
    return file


@pytest.mark.parametrize(
    "name, kind, link, words",
    [
        ("../evil", tarfile.REGTYPE, "", "leads outside"),
        ("/etc/evil", tarfile.REGTYPE, "", "leads outside"),
        ("a/../../evil", tarfile.REGTYPE, "", "leads outside"),
        ("shadow", tarfile.SYMTYPE, "/etc/shadow", "is a link or a device"),
        ("hard", tarfile.LNKTYPE, "good", "is a link or a device"),
        ("zero", tarfile.CHRTYPE, "", "is a link or a device"),
    ],
)
def test_a_tar_with_links_or_names_that_lead_outside_is_refused_whole(tmp_path, name, kind, link, words):
    file = crafted(tmp_path / "bad.tar", [("good", tarfile.REGTYPE, ""), (name, kind, link)])
    with pytest.raises(BadData, match=rf"bad\.tar.*{words}"):
        Tar(file)


def test_of_two_members_of_one_name_the_later_counts(tmp_path):
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        for content in (b"old", b"newer"):
            member = tarfile.TarInfo("same")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert Tar(tmp_path / "twice.tar").read("same") == b"newer"


def test_a_tar_cut_anywhere_is_refused(folder, tmp_path):
    whole = pack(folder, tmp_path / "whole.tar").read_bytes()
    used = len(whole.rstrip(b"\0"))
    end = -(-used // 512) * 512  # the last member's padding; what follows is the end mark and filling
    for cut in sorted({*range(0, end + 1, 256), 1, end - 1, end, end + 511}):
        file = tmp_path / f"cut{cut}.tar"
        file.write_bytes(whole[:cut])
        with pytest.raises(BadData, match=rf"cut{cut}\.tar"):
            Tar(file)
    (tmp_path / "enough.tar").write_bytes(whole[: end + 512])
    assert Tar(tmp_path / "enough.tar").names() == sorted(CONTENT)


def test_a_broken_header_is_not_taken_for_the_end(folder, tmp_path):
    file = pack(folder, tmp_path / "set.tar")
    content = bytearray(file.read_bytes())
    with tarfile.open(file) as tar:
        last = tar.getmembers()[-1].offset
    content[last : last + 100] = b"x" * 100
    file.write_bytes(content)
    with pytest.raises(BadData, match=rf"damaged at byte {last} of {len(content)}"):
        Tar(file)


def test_a_compressed_tar_and_a_file_that_is_none_say_what_to_do(folder, tmp_path):
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as tar:
        tar.add(folder, arcname=".")
    (tmp_path / "page.tar").write_text("<html>Not found</html>" * 100)
    for name in ("set.tar.gz", "page.tar"):
        with pytest.raises(BadData, match=rf"{name} cannot be read as an uncompressed tar.*Unpack a compressed one"):
            open_files(tmp_path / name)
    with pytest.raises(BadData, match=r"no folder and no tar .*nowhere"):
        open_files(tmp_path / "nowhere")


def test_a_tar_is_indexed_once_and_again_when_it_changed(folder, tmp_path):
    file = pack(folder, tmp_path / "set.tar")
    assert Tar(file)._index is Tar(file)._index
    (folder / "four").write_bytes(b"new")
    pack(folder, file)
    assert Tar(file).read("four") == b"new"


def test_a_tar_that_shrank_after_it_was_opened_is_told(folder, tmp_path):
    file = pack(folder, tmp_path / "set.tar")
    files = Tar(file)
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(BadData, match=r"ends inside its member a/two\.bin"):
        files.read("a/two.bin")
