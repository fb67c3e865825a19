package recipe

import "github.com/stepward/stepward/internal/idp"

// The usual scopes of applications that know people, and of those that know their groups too.
var (
	people = []string{"profile", "email", "offline_access"}
	groups = []string{"profile", "email", "groups", "offline_access"}
)

// Recipes are all recipes, in the order of the page: applications, then what developers write.
var Recipes = []Recipe{
	{
		ID: "grafana", Name: "Grafana", Example: "https://grafana.example.com", Scopes: groups,
		Redirects: []string{"{url}/login/generic_oauth"},
		Snippets: []Snippet{{"grafana.ini", `[server]
root_url = {url}

[auth.generic_oauth]
enabled = true
name = Stepward
client_id = {client_id}
client_secret = {client_secret}
scopes = openid profile email groups offline_access
auth_url = {issuer}/oauth2/authorize
token_url = {issuer}/oauth2/token
api_url = {issuer}/oauth2/userinfo
use_pkce = true
use_refresh_token = true
allow_sign_up = true
login_attribute_path = email
name_attribute_path = name
groups_attribute_path = groups
role_attribute_path = contains(groups[*], 'grafana-admins') && 'Admin' || 'Viewer'`}},
	},
	{
		ID: "gitea", Name: "Gitea / Forgejo", Example: "https://git.example.com", Scopes: groups,
		Redirects: []string{"{url}/user/oauth2/stepward/callback"}, Policy: idp.PolicyCompatible,
		Snippets: []Snippet{{"gitea", `gitea admin auth add-oauth --name stepward --provider openidConnect \
  --key {client_id} --secret {client_secret} \
  --auto-discover-url {issuer}/.well-known/openid-configuration \
  --scopes profile --scopes email --scopes groups \
  --group-claim-name groups --admin-group gitea-admins`}},
	},
	{
		ID: "nextcloud", Name: "Nextcloud", Example: "https://cloud.example.com", Scopes: groups,
		Redirects: []string{"{url}/apps/user_oidc/code", "{url}/index.php/apps/user_oidc/code"},
		Snippets: []Snippet{
			{"occ (user_oidc)", `php occ app:install user_oidc
php occ user_oidc:provider stepward \
  --clientid={client_id} --clientsecret={client_secret} \
  --discoveryuri={issuer}/.well-known/openid-configuration \
  --scope="openid profile email groups" \
  --unique-uid=0 --mapping-uid=sub --mapping-groups=groups --group-provisioning=1`},
			{"config/config.php", `'user_oidc' => ['use_pkce' => true],`},
		},
	},
	{
		ID: "kubernetes", Name: "Kubernetes", NoAddress: true, Public: true, Native: true,
		Scopes: groups, InIDToken: []string{"email", "groups"},
		Redirects: []string{"http://localhost:8000", "http://localhost:18000"},
		Snippets: []Snippet{
			{"kube-apiserver", `--oidc-issuer-url={issuer}
--oidc-client-id={client_id}
--oidc-username-claim=email
--oidc-groups-claim=groups
--oidc-groups-prefix=oidc:`},
			{"kubectl (kubelogin)", `kubectl krew install oidc-login
kubectl config set-credentials stepward \
  --exec-api-version=client.authentication.k8s.io/v1 --exec-interactive-mode=Never \
  --exec-command=kubectl --exec-arg=oidc-login --exec-arg=get-token \
  --exec-arg=--oidc-issuer-url={issuer} --exec-arg=--oidc-client-id={client_id} \
  --exec-arg=--oidc-extra-scope=email --exec-arg=--oidc-extra-scope=groups
kubectl config set-context --current --user=stepward`},
			{"ClusterRoleBinding", `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: stepward-cluster-admins
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin
subjects:
  - apiGroup: rbac.authorization.k8s.io
    kind: Group
    name: oidc:cluster-admins`},
		},
	},
	{
		ID: "argocd", Name: "Argo CD", Example: "https://argocd.example.com", Policy: idp.PolicyCompatible,
		Scopes: groups, InIDToken: []string{"profile", "email", "groups"},
		Redirects: []string{"{url}/auth/callback"},
		Snippets: []Snippet{
			{"argocd-cm", `data:
  url: {url}
  oidc.config: |
    name: Stepward
    issuer: {issuer}
    clientID: {client_id}
    clientSecret: $oidc.stepward.clientSecret
    requestedScopes: ["openid", "profile", "email", "groups"]`},
			{"argocd-secret", `kubectl -n argocd patch secret argocd-secret --type merge \
  -p '{"stringData": {"oidc.stepward.clientSecret": "{client_secret}"}}'`},
			{"argocd-rbac-cm", `data:
  scopes: "[groups, email]"
  policy.csv: |
    g, argocd-admins, role:admin`},
		},
	},
	{
		ID: "oauth2-proxy", Name: "oauth2-proxy", Example: "https://app.example.com",
		Scopes: groups, InIDToken: []string{"email", "groups"},
		Redirects: []string{"{url}/oauth2/callback"},
		Snippets: []Snippet{{"oauth2-proxy.cfg", `provider = "oidc"
oidc_issuer_url = "{issuer}"
client_id = "{client_id}"
client_secret = "{client_secret}"
redirect_url = "{url}/oauth2/callback"
code_challenge_method = "S256"
scope = "openid profile email groups"
email_domains = ["*"]
cookie_secret = "" # openssl rand -base64 32 | tr -- '+/' '-_'`}},
	},
	{
		ID: "vault", Name: "Vault / OpenBao", Example: "https://vault.example.com",
		Scopes: groups, InIDToken: []string{"profile", "email", "groups"},
		Redirects: []string{"{url}/ui/vault/auth/oidc/oidc/callback", "http://localhost:8250/oidc/callback"},
		Snippets: []Snippet{{"vault", `vault auth enable oidc
vault write auth/oidc/config oidc_discovery_url={issuer} \
  oidc_client_id={client_id} oidc_client_secret={client_secret} default_role=default
vault write auth/oidc/role/default user_claim=sub groups_claim=groups \
  oidc_scopes=profile,email,groups token_policies=default \
  allowed_redirect_uris={url}/ui/vault/auth/oidc/oidc/callback \
  allowed_redirect_uris=http://localhost:8250/oidc/callback`}},
	},
	{
		ID: "proxmox", Name: "Proxmox VE", Example: "https://pve.example.com:8006", Scopes: people,
		Redirects: []string{"{url}", "{url}/"},
		Snippets: []Snippet{{"pveum", `pveum realm add stepward --type openid --issuer-url {issuer} \
  --client-id {client_id} --client-key {client_secret} \
  --username-claim email --scopes "openid email profile" --autocreate 1`}},
	},
	{
		ID: "jenkins", Name: "Jenkins", Example: "https://jenkins.example.com", Scopes: groups,
		Redirects: []string{"{url}/securityRealm/finishLogin"}, PostLogout: []string{"{url}/OicLogout"},
		Snippets: []Snippet{{"jenkins.yaml (oic-auth)", `jenkins:
  securityRealm:
    oic:
      clientId: "{client_id}"
      clientSecret: "{client_secret}"
      serverConfiguration:
        wellKnown:
          wellKnownOpenIDConfigurationUrl: "{issuer}/.well-known/openid-configuration"
          scopesOverride: "openid profile email groups"
      pkceEnabled: true
      userNameField: "email"
      fullNameFieldName: "name"
      emailFieldName: "email"
      groupsFieldName: "groups"`}},
	},
	{
		ID: "portainer", Name: "Portainer", Example: "https://portainer.example.com:9443", Scopes: people,
		Redirects: []string{"{url}", "{url}/"}, PostLogout: []string{"{url}"}, Policy: idp.PolicyCompatible,
		Snippets: []Snippet{{"Settings → Authentication → OAuth → Custom", `Client ID:          {client_id}
Client secret:      {client_secret}
Authorization URL:  {issuer}/oauth2/authorize
Access token URL:   {issuer}/oauth2/token
Resource URL:       {issuer}/oauth2/userinfo
Redirect URL:       {url}
Logout URL:         {issuer}/oauth2/end_session
User identifier:    email
Scopes:             openid profile email
Auth Style:         In Params`}},
	},
	{
		ID: "immich", Name: "Immich", Example: "https://photos.example.com", Scopes: people,
		Redirects: []string{"{url}/auth/login", "{url}/user-settings", "{url}/api/oauth/mobile-redirect"},
		Snippets: []Snippet{{"Administration → Settings → OAuth Authentication", `ISSUER_URL:                    {issuer}
CLIENT_ID:                     {client_id}
CLIENT_SECRET:                 {client_secret}
SCOPE:                         openid email profile
ID_TOKEN_SIGNED_RESPONSE_ALG:  RS256
MOBILE REDIRECT URI OVERRIDE:  on
MOBILE REDIRECT URI:           {url}/api/oauth/mobile-redirect`}},
	},
	{
		ID: "home-assistant", Name: "Home Assistant", Example: "https://home.example.com", Public: true, Scopes: groups,
		InIDToken: []string{"profile", "groups"}, Redirects: []string{"{url}/auth/oidc/callback"},
		Snippets: []Snippet{{"configuration.yaml (hass-oidc-auth)", `auth_oidc:
  client_id: "{client_id}"
  discovery_url: "{issuer}/.well-known/openid-configuration"
  groups_scope: "groups"
  roles:
    admin: "home-admins"`}},
	},
	{
		ID: "go", Name: "Go", Example: "http://localhost:3000", Scopes: people, Redirects: []string{"{url}/callback"},
		Snippets: []Snippet{{"main.go (github.com/coreos/go-oidc/v3)", `provider, err := oidc.NewProvider(ctx, "{issuer}")
if err != nil {
	log.Fatal(err)
}
app := oauth2.Config{
	ClientID:     "{client_id}",
	ClientSecret: "{client_secret}",
	Endpoint:     provider.Endpoint(),
	RedirectURL:  "{redirect_uri}",
	Scopes:       []string{"openid", "profile", "email"},
}
// app.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)) begins a sign-in.`}},
	},
	{
		ID: "node", Name: "Node.js", Example: "http://localhost:3000", Scopes: people, Redirects: []string{"{url}/callback"},
		Snippets: []Snippet{{"app.mjs (openid-client 6)", `import * as client from "openid-client";

const config = await client.discovery(new URL("{issuer}"), "{client_id}", "{client_secret}");
const verifier = client.randomPKCECodeVerifier(); // a new one for each sign-in; keep it in the session
const to = client.buildAuthorizationUrl(config, {
  redirect_uri: "{redirect_uri}",
  scope: "openid profile email",
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
});
// at the redirect URI:
const tokens = await client.authorizationCodeGrant(config, currentUrl, { pkceCodeVerifier: verifier });`}},
	},
	{
		ID: "python", Name: "Python", Example: "http://localhost:5000", Scopes: people, Redirects: []string{"{url}/callback"},
		Snippets: []Snippet{{"app.py (Authlib, Flask)", `from authlib.integrations.flask_client import OAuth

oauth = OAuth(app)
oauth.register(
    "stepward",
    client_id="{client_id}",
    client_secret="{client_secret}",
    server_metadata_url="{issuer}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)

@app.get("/login")
def login():
    return oauth.stepward.authorize_redirect("{redirect_uri}")

@app.get("/callback")
def callback():
    token = oauth.stepward.authorize_access_token()
    session["user"] = oauth.stepward.userinfo(token=token) # sub, name, email
    return redirect("/")`}},
	},
	{
		ID: "java", Name: "Java", Example: "http://localhost:8080", Scopes: people,
		Redirects: []string{"{url}/login/oauth2/code/stepward"}, PostLogout: []string{"{url}/"}, Policy: idp.PolicyCompatible,
		Snippets: []Snippet{{"application.yml (Spring Boot)", `spring:
  security:
    oauth2:
      client:
        registration:
          stepward:
            client-id: "{client_id}"
            client-secret: "{client_secret}"
            scope: openid, profile, email
        provider:
          stepward:
            issuer-uri: "{issuer}"`}},
	},
	{
		ID: "dotnet", Name: ".NET", Example: "https://localhost:5001", Scopes: people,
		Redirects: []string{"{url}/signin-oidc"}, PostLogout: []string{"{url}/signout-callback-oidc"},
		Snippets: []Snippet{{"Program.cs (ASP.NET Core)", `builder.Services
    .AddAuthentication(options =>
    {
        options.DefaultScheme = CookieAuthenticationDefaults.AuthenticationScheme;
        options.DefaultChallengeScheme = OpenIdConnectDefaults.AuthenticationScheme;
    })
    .AddCookie()
    .AddOpenIdConnect(options =>
    {
        options.Authority = "{issuer}";
        options.ClientId = "{client_id}";
        options.ClientSecret = "{client_secret}";
        options.ResponseType = "code";
        options.UsePkce = true;
        options.Scope.Add("email");
        options.GetClaimsFromUserInfoEndpoint = true;
        options.MapInboundClaims = false;
    });`}},
	},
	{
		ID: "mcp", Name: "MCP server", Example: "https://mcp.example.com", API: true,
		Snippets: []Snippet{
			{"stepward.yaml", `resources:
  {url}/:
    description: Use the tools of {host}
client-id-metadata: on`},
			// The resource must exist first.
			{"stepward client", `stepward client show {client_id} |
  jq '.serves = ["{url}/"]' | stepward client set {client_id}`},
			{"GET {url}/.well-known/oauth-protected-resource", `{"resource": "{url}/", "authorization_servers": ["{issuer}"]}`},
			{"401", `WWW-Authenticate: Bearer resource_metadata="{url}/.well-known/oauth-protected-resource"`},
			{"POST {issuer}/oauth2/introspect", `curl -u '{client_id}:{client_secret}' \
  {issuer}/oauth2/introspect -d token="$TOKEN"`},
		},
	},
}
