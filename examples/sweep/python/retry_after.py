"""How long an answer asks to wait."""

import email.utils
import time

# Later, the same request may be answered; of all others it would be refused again.
PASSING = (408, 409, 429, 500, 502, 503, 504, 529)
PASSING_TYPES = ("api_error", "overloaded_error", "rate_limit_error", "timeout_error")


def retry_after(headers):
    """Seconds, or None where nothing is said; `headers` has a `get` that does not mind case."""
    for name, unit in [("retry-after-ms", 1000), ("retry-after", 1)]:
        try:
            return max(0.0, float(headers.get(name)) / unit)
        except (TypeError, ValueError):
            pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers.get("retry-after")).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
