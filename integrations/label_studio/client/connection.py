"""The connection to a Label Studio server: address, key, and one-line errors."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from sparsedet.errors import NotConfiguredError, ToolError

from .answers import OddAnswerError, as_object, as_objects, identifier, shown, text
from .credentials import ask_for_key, checked_key, checked_url
from .failures import AGAIN, CONNECTING, comes_of_parsing, detail, network_problem, refusal
from .json_lists import begins_list
from .key_consent import KEY_VARIABLE, URL_VARIABLE, check_consent
from .request_errors import RequestFailedError
from .request_errors import RequestRefusedError as RequestRefusedError
from .transport import CONNECT_SECONDS as CONNECT_SECONDS
from .transport import (
    DEFAULT_LIMITS,
    TIMEOUT_SECONDS,
    Answer,
    AnswerLimits,
    AnswerProblem,
    BusyError,
    KeyClient,
    origin,
)

if TYPE_CHECKING:
    from label_studio_sdk.client import LabelStudio
    from label_studio_sdk.core.request_options import RequestOptions

T = TypeVar("T")

WRITE: "RequestOptions" = {"max_retries": 0, "timeout_in_seconds": int(TIMEOUT_SECONDS)}
"""For requests that create things: the SDK would retry them on a 5xx and create them twice. If the
server refuses one since it gets too many, `KeyClient` retries it."""

_ACCOUNT = "api/current-user/whoami"


class Connection:
    """An authenticated connection; accepts legacy tokens and personal access tokens.

    Args:
        url: the server's address; None reads LABEL_STUDIO_URL.
        api_key: None reads LABEL_STUDIO_API_KEY, or prompts on a terminal.
        named: the user gave `url` for this call; otherwise the environment's key is sent there only
            if LABEL_STUDIO_URL names the same host, or the user agrees. A key given as `api_key`
            may be sent to `url`.
        limits: limits of an answer's size and time.

    Raises:
        ToolError: if the address or key is missing or malformed, the key is not meant for the
            address, the server is not reachable, or it refuses the key.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        named: bool = False,
        limits: AnswerLimits = DEFAULT_LIMITS,
    ) -> None:
        self.url = checked_url(url or os.environ.get(URL_VARIABLE))
        key = api_key or os.environ.get(KEY_VARIABLE)
        if key and not (api_key or named):
            check_consent(self.url)
        self._key = checked_key(key or ask_for_key(self.url))
        from label_studio_sdk import client as sdk  # takes 2 s, so only on connecting

        http = KeyClient(self.url, self._key, limits)
        with self.request(CONNECTING):
            # no-untyped-call: the SDK's constructor has no annotations.
            self.client: LabelStudio = sdk.LabelStudio(  # type: ignore[no-untyped-call]
                # The slash keeps a path prefix when the SDK appends the path of the token refresh.
                base_url=self.url + "/",
                api_key=self._key,
                httpx_client=http,
            )
        http.renewed = self.renewed
        once: RequestOptions = {"timeout_in_seconds": int(CONNECT_SECONDS), "max_retries": 0}
        self._account = self._send("GET", _ACCOUNT, CONNECTING, request_options=once)
        if not isinstance(self._account, dict):
            raise ToolError(
                self._odd(f"does not return our account: {shown(self._account)}", CONNECTING)
            )

    def is_ours(self, url: str) -> bool:
        """Whether a URL is on the server that the key belongs to."""
        try:
            return origin(url) == origin(self.url)
        except ValueError:
            return False

    @property
    def account(self) -> tuple[int, str]:
        """Id and email address of the key's account.

        Raises:
            ToolError: if the server did not return them.
        """
        what = "whose API key this is"
        return identifier(self._account, what), text(self._account, "email", what)

    @property
    def api_key(self) -> str:
        """The key, for a connection in another process; must never be written anywhere."""
        return self._key

    def headers(self) -> Mapping[str, str]:
        """Return headers that authenticate a request now; thread-safe.

        A personal access token is exchanged for a bearer token that expires after minutes and is
        renewed here, so headers must not be cached.
        """
        return {"Authorization": self.client._client_wrapper.get_headers()["Authorization"]}

    def renewed(self) -> str | None:
        """Return an `Authorization` for the server that has just refused the last one.

        The SDK renews a bearer token once it has expired by this machine's clock, which may be
        behind the server's. None for a legacy token, which is not renewed.
        """
        tokens = self.client._client_wrapper._tokens_client
        if tokens._use_legacy_token:
            return None
        tokens._access_token = None
        return self.headers()["Authorization"]

    def check_key(self, what: str) -> None:
        """Check that the server still accepts the key; thread-safe.

        Args:
            what: what it is needed for.

        Raises:
            ToolError: if it does not.
        """
        self._send("GET", _ACCOUNT, what)

    def get_json(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        """GET a resource; `what` names it in errors, as in "reading project 3"."""
        return self._send("GET", path, what, params=dict(params))

    def get_object(self, path: str, params: Mapping[str, Any], what: str) -> dict[str, Any]:
        """GET a resource that is a JSON object."""
        return as_object(self.get_json(path, params, what), what)

    def get_entries(
        self, path: str, params: Mapping[str, Any], what: str, keep: Callable[[dict[str, Any]], T]
    ) -> list[T]:
        """GET a long list of JSON objects.

        Args:
            path: path of the resource.
            params: query parameters.
            what: names the request in errors.
            keep: converts an entry to what is returned; the entry itself is not kept.
        """

        def read(answer: Answer) -> list[Any]:
            if not begins_list(answer.content):
                return as_objects(answer.json(), what)  # raises an error that describes it
            of = "an entry of the list"
            return [keep(as_object(entry, what, of=of)) for entry in answer.entries()]

        kept: list[T] = self._send("GET", path, what, read, params=dict(params))
        return kept

    def get_objects(self, path: str, params: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
        """GET a resource that is a list of JSON objects."""
        return as_objects(self.get_json(path, params, what), what)

    def post_json(self, path: str, body: object, what: str) -> dict[str, Any]:
        """POST JSON to a resource that answers with an object; only retried if nothing was done."""
        return as_object(self._send("POST", path, what, **_json(body)), what)

    def patch_json(self, path: str, body: object, what: str) -> dict[str, Any]:
        """PATCH a resource with an id, such as "api/tasks/5/"; only retried if nothing was done.

        Returns:
            The changed resource, after checking that the answer has its id.
        """
        number = int(path.rstrip("/").rpartition("/")[2])
        changed = as_object(self._send("PATCH", path, what, **_json(body)), what)
        if changed.get("id") != number:
            raise OddAnswerError(
                what, f"its id should be {number}, but is {shown(changed.get('id'))}"
            )
        return changed

    def delete_named(self, path: str, body: object, what: str) -> dict[str, Any]:
        """DELETE parts of a resource named in a JSON body; return the server's answer."""
        return as_object(self._send("DELETE", path, what, **_json(body)), what)

    def delete(self, path: str, what: str) -> None:
        """DELETE a resource; it may be gone already, by somebody else or a late request."""
        try:
            self._send("DELETE", path, what, request_options=WRITE)
        except RequestRefusedError as error:
            if not error.is_not_found:
                raise

    def post_files(
        self, path: str, params: Mapping[str, Any], files: Mapping[str, Any], what: str
    ) -> dict[str, Any]:
        """POST files, by field name as in httpx; only retried if nothing was done."""
        options: dict[str, Any] = {"params": dict(params), "files": dict(files)}
        return as_object(self._send("POST", path, what, **options, request_options=WRITE), what)

    def _send(
        self,
        method: str,
        path: str,
        what: str,
        read: Callable[[Answer], Any] = Answer.json,
        **options: Any,
    ) -> Any:
        from label_studio_sdk.core.api_error import ApiError

        with self.request(what):
            # Sent by a `KeyClient`.
            response: Any = self.client._client_wrapper.httpx_client.request(
                path, method=method, **options
            )
            if not response.is_success:
                try:
                    body = response.json()
                except ValueError:
                    body = response.text
                raise ApiError(status_code=response.status_code, body=body)
            if method == "DELETE" and "content" not in options and response.content:
                raise AnswerProblem(
                    f"answered a deletion, which has no answer, with {shown(response.json())}"
                )
            return read(response)

    @contextmanager
    def request(self, what: str) -> Iterator[None]:
        """Translate errors of requests in the block; `what` describes their purpose.

        Raises:
            RequestFailedError: one line, never holding the key.
        """
        from label_studio_sdk.core.api_error import ApiError

        server = f"Label Studio at {self.url}"
        try:
            yield
        except ApiError as error:
            said = self._redact(detail(error.body))
            by_proxy = not isinstance(error.body, Mapping)
            message = refusal(error.status_code, said, self.url, what, by_proxy=by_proxy)
            raise RequestRefusedError(message, error.status_code, error.body) from None
        except BusyError as busy:
            message = f"{server} {busy} ({what}); {AGAIN}"
            raise RequestRefusedError(message, busy.status, None) from None
        except AnswerProblem as problem:
            raise RequestFailedError(self._odd(str(problem), what)) from None
        except httpx.HTTPError as error:
            said = self._redact(network_problem(error, self.url, what))
            raise RequestFailedError(said) from None
        except httpx.InvalidURL:
            raise RequestFailedError(f"{server} has no valid address ({what})") from None
        except Exception as error:
            if not comes_of_parsing(error.__traceback__):
                raise
            raise RequestFailedError(
                self._odd("sent an answer that the SDK can't parse", what)
            ) from None

    def _odd(self, problem: str, what: str) -> str:
        advice = (
            f"is the address right ({URL_VARIABLE} or --url)?"
            if what == CONNECTING
            else "finished work is kept: repeat the command once that is fixed"
        )
        return self._redact(f"Label Studio at {self.url} {problem} ({what}); {advice}")

    def _redact(self, said: str) -> str:
        return said.replace(self._key, "***")


def _json(body: object) -> dict[str, Any]:
    """Return the options of a request with a JSON body; the SDK's own encoder is far slower."""
    headers = {"content-type": "application/json"}
    return {"content": json.dumps(body).encode(), "headers": headers, "request_options": WRITE}


def check_connection() -> str:
    """Test the connection to LABEL_STUDIO_URL with LABEL_STUDIO_API_KEY.

    Returns:
        Version, address and account in one line.

    Raises:
        NotConfiguredError: when neither is set.
        ToolError: one line, never holding the key; also if only one of the two is set.
    """
    missing = [name for name in (URL_VARIABLE, KEY_VARIABLE) if not os.environ.get(name)]
    if len(missing) == 2:
        raise NotConfiguredError(f"{URL_VARIABLE} and {KEY_VARIABLE} are not set")
    if missing:
        raise ToolError(f"not tested: {missing[0]} is not set")
    connection = Connection()
    what = "its version"
    version = text(connection.get_object("api/version", {}, what), "release", what)
    _, email = connection.account
    return f"Label Studio {version or 'of unknown version'} at {connection.url}, as {email}"


def project_number(project: str) -> int:
    """Parse a project's number; raise `ToolError` if it is invalid."""
    if not (project.isascii() and project.isdigit()):
        raise ToolError(
            f"invalid Label Studio project {project!r}: expected the number in its URL "
            "(.../projects/NUMBER)"
        )
    return int(project)
