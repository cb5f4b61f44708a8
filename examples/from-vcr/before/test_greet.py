"""As it was, with pytest-recording (VCR.py)."""

import pytest
from app import greet


@pytest.fixture(scope="module")
def vcr_config():
    return {"filter_headers": ["x-api-key", "authorization"], "decode_compressed_response": True}


@pytest.mark.vcr
def test_the_name_is_kept(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-not-a-key")
    assert "Ada" in greet("Ada")
