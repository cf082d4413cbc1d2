"""What is found in a directory, and what is left out."""

import hashlib
import os
import socket

import pytest

from chutes.jobs.files_found import MOST_FILES, FilesRefused, Packing, find_files


def packed(root, limit=10_000, size=4):
    packing = Packing(find_files(root), limit)
    packing.check()
    return list(packing.pieces(size)), packing.files


def test_files_are_cut_into_pieces_one_after_the_other(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "b" / "deep" / "c.txt").write_bytes(b"cc")
    (tmp_path / "a.json").write_bytes(b"aaaaa")
    (tmp_path / "empty").touch()
    (tmp_path / ".hidden").write_bytes(b"h")
    (tmp_path / "no files here").mkdir()

    pieces, files = packed(tmp_path)

    assert pieces == [b"haaa", b"aacc"]
    assert [(file.path, file.start, file.size) for file in files] == [
        (".hidden", 0, 1), ("a.json", 1, 5), ("b/deep/c.txt", 6, 2), ("empty", 8, 0),
    ]  # fmt: skip
    assert files[1].content_type == "application/json"
    assert files[2].sha256 == hashlib.sha256(b"cc").hexdigest()


def test_links_and_devices_are_left_out_and_never_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").symlink_to(secret / "key")
    (root / "folder").symlink_to(secret)
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    (root / "kept").write_bytes(b"kept")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
        found = find_files(root)

    assert list(found.sizes) == ["kept"]
    assert found.left_out == (
        "'file' is a symbolic link", "'folder' is a symbolic link", "'loop' is a symbolic link",
        "'pipe' is no regular file", "'socket' is no regular file",
    )  # fmt: skip


def test_a_directory_that_became_a_link_has_no_files(tmp_path):
    (tmp_path / "link").symlink_to("/etc")

    assert find_files(tmp_path / "link").sizes == {}
    assert find_files(tmp_path / "gone").sizes == {}


def test_odd_names_are_kept_where_text_can_hold_them(tmp_path):
    for name in (b"umlaut \xc3\xa4.txt", b"quote\"'%2F..\\.txt", b"latin \xe4.txt", b"line\nend.txt"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")

    found = find_files(tmp_path)

    assert list(found.sizes) == ["quote\"'%2F..\\.txt", "umlaut ä.txt"]
    assert found.left_out == (
        "'latin \\udce4.txt' has a name that is not UTF-8", "'line\\nend.txt' has control characters in its name",
    )  # fmt: skip


def test_folders_may_be_deep_up_to_a_length(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("n" * 100, dir_fd=folder)
        below = os.open("n" * 100, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)

    found = find_files(tmp_path)

    assert max(map(len, found.sizes)) == 10 * 101 + 4
    assert len(found.left_out) == 1
    assert "has a path of more than 1024 bytes" in found.left_out[0]


def test_files_that_are_too_large_together_are_refused_before_they_are_read(tmp_path):
    for name, size in (("small", 10), ("large", 2**40), ("middle", 500)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)

    with pytest.raises(FilesRefused) as refused:
        packed(tmp_path, limit=600)

    assert f"have {2**40 + 510} bytes together; 600 are kept" in str(refused.value)
    assert f"'large' has {2**40}, 'middle' has 500" in str(refused.value)
    assert "raise CHUTES_JOBS_MAX_FILES_SIZE" in str(refused.value)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    file = tmp_path / "log"
    file.write_bytes(b"x" * 10)
    packing = Packing(find_files(tmp_path), 12)
    packing.check()
    pieces = packing.pieces(4)
    next(pieces)
    file.write_bytes(b"x" * 100)

    with pytest.raises(FilesRefused, match=r"12 are kept"):
        list(pieces)


def test_a_file_that_is_gone_or_became_something_else_is_left_out(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).write_bytes(b"x")
    packing = Packing(find_files(tmp_path), 100)
    (tmp_path / "a").unlink()
    (tmp_path / "b").unlink()
    (tmp_path / "b").symlink_to("/etc/passwd")
    (tmp_path / "c").unlink()
    os.mkfifo(tmp_path / "c")

    assert list(packing.pieces(10)) == [b"x"]
    assert [file.path for file in packing.files] == ["d"]


def test_too_many_files_are_refused(tmp_path):
    for number in range(MOST_FILES):
        (tmp_path / str(number)).touch()
    assert len(find_files(tmp_path).sizes) == MOST_FILES
    (tmp_path / "one more").touch()

    with pytest.raises(FilesRefused, match="Pack them into an archive"):
        find_files(tmp_path)
