// openid-client (https://github.com/panva/openid-client) as an application that nobody registered: it does so itself, and
// signs people in by PAR, PKCE and its secret.
import { settings, open, serve } from "./driver.mjs";

const client = await import("openid-client");

const config = await client.dynamicClientRegistration(new URL(settings.issuer), {
	client_name: "App", redirect_uris: [settings.redirect], scope: "openid email", grant_types: ["authorization_code"],
	token_endpoint_auth_method: "client_secret_basic", id_token_signed_response_alg: "ES256", require_pushed_authorization_requests: true,
}, client.ClientSecretBasic());

await serve(async (params) => {
	const verifier = client.randomPKCECodeVerifier(), state = client.randomState();
	const back = await open(await client.buildAuthorizationUrlWithPAR(config, {
		redirect_uri: settings.redirect, scope: "openid email", state,
		code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", ...params,
	}));
	const tokens = await client.authorizationCodeGrant(config, back, {
		pkceCodeVerifier: verifier, expectedState: state, idTokenExpected: true,
		maxAge: params.max_age === undefined ? undefined : Number(params.max_age),
	});
	const claims = tokens.claims();
	const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
	return { ...claims, email: info.email };
});
