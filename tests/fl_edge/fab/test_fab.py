"""Bundles and FABs: deterministic, strict, and what real flwr accepts."""

import io
import zipfile
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_files
from flwr.cli.install import install_from_fab
from flwr.common.config import get_fab_config, get_fused_config_from_dir

from datatoken.errors import BadInputError
from datatoken.types import sha256_hex
from fl_edge.fab import (
    Manifest,
    app_config,
    build_fab,
    bundle_folder,
    effective_config,
    fab_defaults,
    read_bundle,
    read_fab,
    write_bundle,
)

CLIENT = b"from flwr.clientapp import ClientApp\napp = ClientApp()\n"
SERVER = b"from flwr.serverapp import ServerApp\napp = ServerApp()\n"


def manifest(kind: str = "client", **more: object) -> Manifest:
    point = {"client": "clientapp", "server": "serverapp"}[kind]
    values: dict[str, object] = {
        "name": f"{kind}-operation",
        "kind": kind,
        "package": f"{kind}_op",
        "entry_points": {point: f"{kind}_op.main:app"},
        "config": {"local-epochs": 1, "learning-rate": 0.1} if kind == "client" else {"rounds": 3},
        "dependencies": ["numpy>=2"],
    }
    return Manifest(**(values | more))  # type: ignore[arg-type]


def bundle(kind: str = "client", **more: object) -> bytes:
    document = manifest(kind, **more)
    package = document.package
    code = CLIENT if kind == "client" else SERVER
    return write_bundle(document, {f"{package}/__init__.py": b"", f"{package}/main.py": code})


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "operation.json").write_text(
        '{"name": "edge", "kind": "client", "entry_points": {"clientapp": "edge.main:app"},'
        ' "config": {"local-epochs": 1}, "description": "not in the bundle"}'
    )
    (path / "main.py").write_bytes(CLIENT)
    (path / "__init__.py").write_bytes(b"")
    (path / "sub").mkdir()
    (path / "sub" / "__init__.py").write_bytes(b"")
    return path


def zipped(*files: tuple[str, bytes], compress: int = zipfile.ZIP_STORED) -> bytes:
    """An archive as a sloppy or hostile tool makes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, (2024, 10, 1, 0, 0, 0)), content, compress)
    return buffer.getvalue()


def test_folder_bundle_is_the_same_bytes_wherever_and_whenever_it_is_made(tmp_path: Path) -> None:
    """Acceptance: 17, 103."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = folder(tmp_path / "one" / "edge")
    second = folder(tmp_path / "two" / "edge")
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "main.pyc").write_bytes(b"x")
    (second / ".hidden.py").write_bytes(b"x")
    (second / "main.py").touch()

    assert bundle_folder(first) == bundle_folder(second)
    assert set(read_bundle(bundle_folder(first)).files) == {
        "edge/__init__.py",
        "edge/main.py",
        "edge/sub/__init__.py",
    }


def test_link_in_an_operation_folder_is_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "edge")
    (source / "secret.py").symlink_to("/etc/passwd")

    with pytest.raises(BadInputError, match="is a link"):
        bundle_folder(source)


def test_one_changed_byte_gives_another_bundle_and_another_fab() -> None:
    """Acceptance: 103."""
    honest = bundle()
    swapped = write_bundle(
        manifest(), {"client_op/__init__.py": b"", "client_op/main.py": CLIENT + b"#"}
    )

    assert sha256_hex(honest) != sha256_hex(swapped)
    assert build_fab(honest, bundle("server")) != build_fab(swapped, bundle("server"))


@pytest.mark.parametrize(
    "name",
    ["../escape.py", "/abs.py", "a/../b.py", "a\\b.py", "a//b.py", "./a.py", "a/", "é.py"],
)
def test_path_traversal_in_a_bundle(name: str) -> None:
    content = zipped(("manifest.json", b"{}"), (name, b""))

    with pytest.raises(BadInputError, match="no plain relative path"):
        read_bundle(content)


def test_same_name_twice_in_a_bundle() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zipped(("a/b.py", b"1"), ("a/b.py", b"2"))

    with pytest.raises(BadInputError, match="comes twice"):
        read_bundle(content)
    with pytest.raises(BadInputError, match="comes twice"):
        read_bundle(zipped(("a/b.py", b"1"), ("a/B.py", b"2")))


def test_compressed_bundle_that_blows_up() -> None:
    content = zipped(("a.py", b"0" * 5_000_000), compress=zipfile.ZIP_DEFLATED)

    with pytest.raises(BadInputError, match=r"claim more bytes|compressed"):
        read_bundle(content)


def test_link_inside_a_bundle() -> None:
    info = zipfile.ZipInfo("client_op/main.py", (2024, 10, 1, 0, 0, 0))
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"/etc/passwd")

    with pytest.raises(BadInputError, match="is a link"):
        read_bundle(buffer.getvalue())


@pytest.mark.parametrize(
    "hide",
    [
        lambda content: b"prefix" + content,
        lambda content: content + b"suffix",
        lambda content: content[:-2] + b"\x03\x00abc",
        lambda content: content[:12] + b"\x01" + content[13:],
    ],
    ids=["before", "behind", "comment", "date"],
)
def test_bytes_hidden_beside_the_files(hide: object) -> None:
    """Acceptance: 103."""
    with pytest.raises(BadInputError):
        read_bundle(hide(bundle()))  # type: ignore[operator]
    with pytest.raises(BadInputError):
        read_fab(hide(build_fab(bundle(), bundle("server"))))  # type: ignore[operator]


def test_oversized_bundle() -> None:
    with pytest.raises(BadInputError, match="are allowed"):
        write_bundle(
            manifest(), {"client_op/__init__.py": b"0" * 1024 * 1024, "client_op/main.py": b""}
        )


@pytest.mark.parametrize(
    "change",
    [
        {"package": "flwr"},
        {"package": "json"},
        {"entry_points": {"serverapp": "client_op.main:app"}},
        {"entry_points": {"clientapp": "os:system"}},
        {"entry_points": {"clientapp": "client_opposite:app"}},
        {"config": {"datatoken-job": "0x"}},
    ],
)
def test_manifest_that_reaches_outside_its_package(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"taken|entry point|reserved"):
        manifest(**change)


def test_fab_of_two_bundles_is_one_that_flwr_installs_and_configures(tmp_path: Path) -> None:
    """Acceptance: 103."""
    fab = build_fab(bundle(), bundle("server"))

    installed = install_from_fab(fab, install_dir=tmp_path, skip_prompt=True)

    assert (installed / "client_op" / "main.py").read_bytes() == CLIENT
    assert (installed / "server_op" / "main.py").read_bytes() == SERVER
    components = get_fab_config(fab)["tool"]["flwr"]["app"]["components"]
    assert components == {"clientapp": "client_op.main:app", "serverapp": "server_op.main:app"}
    assert get_fused_config_from_dir(installed, {"local-epochs": 7}) == effective_config(
        fab, {"local-epochs": 7}
    )


def test_flwr_builds_the_same_bytes_of_the_unpacked_files() -> None:
    """So that `flwr run` works beside `fl-edge run`. Acceptance: 103."""
    odd = {"a.b": 'quote " back \\ tab \t newline \n \x01', "b": 1e-07, "c": 1e22, "d": False}
    fab = build_fab(bundle(config=odd), bundle("server"))

    theirs, _ = build_fab_from_files(dict(read_fab(fab)))

    assert theirs == fab
    assert build_fab(theirs, None) == theirs
    assert app_config(theirs) == app_config(fab)


def test_file_smuggled_into_a_fab_beside_its_content_list() -> None:
    files = dict(read_fab(build_fab(bundle(), bundle("server"))))
    from datatoken.archive import write_archive
    from fl_edge.fab.build import _content_list

    listed = _content_list(files)
    smuggled = [*files.items(), ("client_op/extra.py", b"x"), (".info/CONTENT", listed)]

    with pytest.raises(BadInputError, match="does not list"):
        read_fab(write_archive(smuggled))


def test_two_bundles_that_share_a_package() -> None:
    """FAB folder collision, from inside: one bundle would overwrite the other."""
    server = manifest("server", package="client_op", entry_points={"serverapp": "client_op.s:app"})
    other = write_bundle(server, {"client_op/__init__.py": b"", "client_op/s.py": SERVER})

    with pytest.raises(BadInputError, match="Both bundles have a package"):
        build_fab(bundle(), other)


def test_bundles_in_the_wrong_order_or_with_different_defaults() -> None:
    with pytest.raises(BadInputError, match="takes a client and a server"):
        build_fab(bundle("server"), bundle())
    with pytest.raises(BadInputError, match="different defaults"):
        build_fab(bundle(), bundle("server", config={"local-epochs": 1.0}))


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"unknown": 1}, "does not declare"),
        ({"local-epochs": "1"}, "is of type int"),
        ({"local-epochs": True}, "is of type int"),
        ({"local-epochs": 1.5}, "is of type int"),
        ({"learning-rate": float("nan")}, "finite"),
        ({"local-epochs": 2**60}, "beyond"),
    ],
)
def test_overrides_of_another_type(overrides: dict[str, object], error: str) -> None:
    fab = build_fab(bundle(), bundle("server"))

    with pytest.raises(BadInputError, match=error):
        effective_config(fab, overrides)  # type: ignore[arg-type]


def test_effective_config_is_defaults_and_overrides() -> None:
    fab = build_fab(bundle(), bundle("server"))

    assert fab_defaults(fab) == {"learning-rate": 0.1, "local-epochs": 1, "rounds": 3}
    assert effective_config(fab, {"learning-rate": 1}) == {
        "learning-rate": 1,
        "local-epochs": 1,
        "rounds": 3,
    }


def test_float_default_without_a_fraction_stays_a_float() -> None:
    fab = build_fab(bundle(config={"mu": 1.0}), bundle("server"))

    assert type(fab_defaults(fab)["mu"]) is float
    assert effective_config(fab, {"mu": 0.5})["mu"] == 0.5


def test_odd_texts_survive_the_pyproject() -> None:
    odd = {"a": 'quote " back \\ tab \t newline \n é \x7f', "b": 1e-07, "c": 1e22, "d": False}
    fab = build_fab(bundle(config=odd), bundle("server"))

    assert {key: fab_defaults(fab)[key] for key in odd} == odd
    assert get_fab_config(fab)["tool"]["flwr"]["app"]["config"]["a"] == odd["a"]
