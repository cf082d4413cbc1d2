"""A certificate for 127.0.0.1, and its key: for servers of tests, and worth nothing anywhere else."""

from pathlib import Path

KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/yAaWIIcbNrsXKgB
EFbEL0Nsum1xh6ynWzTmLhQJaXGhRANCAAT9Hf81YdCoxPSaPk0nGu979G+XOkYn
KC6+gYw3p9BxVQCqXJkhHkC05hJ0VzZ5jrFSyuWOD868HbO0C4EybzU6
-----END PRIVATE KEY-----
"""

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBWDCB/6ADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCTEyNy4wLjAu
MTAgFw0wMDAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ
MTI3LjAuMC4xMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/R3/NWHQqMT0mj5N
Jxrve/RvlzpGJyguvoGMN6fQcVUAqlyZIR5AtOYSdFc2eY6xUsrljg/OvB2ztAuB
Mm81OqNAMD4wDwYDVR0RBAgwBocEfwAAATAMBgNVHRMBAf8EAjAAMB0GA1UdDgQW
BBQpi85po94JWwO757EOdzZvd15qvDAKBggqhkjOPQQDAgNIADBFAiAVojBsetwf
pwTeVxZnu/19nCHr7e3UxDiZmp5Cee1z1wIhAJJbZ81ySLK9qbuMLuhSNOv+hxLg
ETAQUq4zIUZKuFoW
-----END CERTIFICATE-----
"""


def write_certificate(folder: Path) -> Path:
    """Writes both into one file, as `ssl` reads them."""
    path = folder / "certificate.pem"
    path.write_text(KEY + CERTIFICATE)
    return path
