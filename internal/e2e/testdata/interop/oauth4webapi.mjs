// oauth4webapi (https://github.com/panva/oauth4webapi) by FAPI 2.0 with Message Signing: PAR, JAR, JARM, PKCE, DPoP and
// private_key_jwt.
import { settings, open, serve, signingKey } from "./driver.mjs";

const oauth = await import("oauth4webapi");

const issuer = new URL(settings.issuer);
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oauth2" }));
const client = { client_id: settings.client, id_token_signed_response_alg: "ES256", authorization_signed_response_alg: "ES256" };
const key = { key: await signingKey(), kid: "1" };
const auth = oauth.PrivateKeyJwt(key);
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));

// proven does what carries a DPoP proof, and again if the server says with which nonce.
async function proven(request, process) {
	try {
		return await process(await request());
	} catch (err) {
		if (!oauth.isDPoPNonceError(err)) throw err;
		return process(await request());
	}
}

await serve(async (params) => {
	const verifier = oauth.generateRandomCodeVerifier(), state = oauth.generateRandomState(), nonce = oauth.generateRandomNonce();
	const request = await oauth.issueRequestObject(as, client, {
		response_type: "code", response_mode: "jwt", redirect_uri: settings.redirect, scope: "openid email", state, nonce,
		code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", ...params,
	}, key);
	const pushed = await proven(
		() => oauth.pushedAuthorizationRequest(as, client, auth, { request }, { DPoP }),
		(response) => oauth.processPushedAuthorizationResponse(as, client, response),
	);
	const url = new URL(as.authorization_endpoint);
	url.searchParams.set("client_id", client.client_id);
	url.searchParams.set("request_uri", pushed.request_uri);
	const back = await oauth.validateJwtAuthResponse(as, client, await open(url), state);
	const tokens = await proven(
		() => oauth.authorizationCodeGrantRequest(as, client, auth, back, settings.redirect, verifier, { DPoP }),
		async (response) => {
			const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, {
				expectedNonce: nonce, requireIdToken: true,
				maxAge: params.max_age === undefined ? undefined : Number(params.max_age),
			});
			await oauth.validateApplicationLevelSignature(as, response);
			return tokens;
		},
	);
	if (tokens.token_type !== "dpop") throw new Error("token_type " + tokens.token_type);
	const claims = oauth.getValidatedIdTokenClaims(tokens);
	const info = await proven(
		() => oauth.userInfoRequest(as, client, tokens.access_token, { DPoP }),
		(response) => oauth.processUserInfoResponse(as, client, claims.sub, response),
	);
	return { ...claims, email: info.email };
});
