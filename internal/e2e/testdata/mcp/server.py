"""An MCP server with one tool, made with the official SDK; its tokens are checked by introspection."""

import sys

import httpx2
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

resource, issuer, introspection, client, port = sys.argv[1:]


class Introspection:
    async def verify_token(self, token: str) -> AccessToken | None:
        async with httpx2.AsyncClient(auth=tuple(client.split(":"))) as http:
            answer = (await http.post(introspection, data={"token": token})).json()
        if not answer["active"]:
            return None
        audience = answer["aud"] if isinstance(answer["aud"], list) else [answer["aud"]]
        return AccessToken(
            token=token,
            client_id=answer["client_id"],
            subject=answer["sub"],
            scopes=answer.get("scope", "").split(),
            resource=resource if resource in audience else None,
        )


server = MCPServer(
    "notes",
    token_verifier=Introspection(),
    auth=AuthSettings(issuer_url=issuer, resource_server_url=resource, validate_token_resource=True),
)


@server.tool()
def whose() -> str:
    """Says whose notes these are."""
    return get_access_token().subject


server.run("streamable-http", port=int(port), streamable_http_path="/")
