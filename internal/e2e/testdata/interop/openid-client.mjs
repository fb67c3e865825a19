// openid-client (https://github.com/panva/openid-client) by FAPI 2.0 with Message Signing: PAR, JAR, JARM, PKCE, DPoP and
// private_key_jwt.
import { settings, open, serve, signingKey } from "./driver.mjs";

const client = await import("openid-client");

const key = { key: await signingKey(), kid: "1" };
const config = await client.discovery(
	new URL(settings.issuer), settings.client,
	{ id_token_signed_response_alg: "ES256", authorization_signed_response_alg: "ES256" }, client.PrivateKeyJwt(key),
);
client.useJwtResponseMode(config);
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));
client.enableNonRepudiationChecks(config); // the ID token's signature counts, although it came over TLS

await serve(async (params) => {
	const verifier = client.randomPKCECodeVerifier(), state = client.randomState(), nonce = client.randomNonce();
	const signed = await client.buildAuthorizationUrlWithJAR(config, {
		redirect_uri: settings.redirect, scope: "openid email offline_access", state, nonce,
		code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", ...params,
	}, key);
	const back = await open(await client.buildAuthorizationUrlWithPAR(config, signed.searchParams, { DPoP }));
	const tokens = await client.authorizationCodeGrant(config, back, {
		pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true,
		maxAge: params.max_age === undefined ? undefined : Number(params.max_age),
	}, undefined, { DPoP });
	if (tokens.token_type !== "dpop") throw new Error("token_type " + tokens.token_type);
	const claims = tokens.claims();
	const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP });
	const again = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
	if (again.claims().auth_time !== claims.auth_time) throw new Error("auth_time was renewed by refreshing");
	const checked = await client.tokenIntrospection(config, again.access_token);
	if (!checked.active || checked.acr !== claims.acr) throw new Error("introspection: " + JSON.stringify(checked));
	await client.tokenRevocation(config, again.access_token);
	return { ...claims, email: info.email };
});
