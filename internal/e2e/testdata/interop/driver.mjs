// What the test (interop_test.go) and a client say to each other, a JSON object a line:
//
//	test   {"params": {…}}      sign somebody in, with these beside the usual parameters of the request
//	client {"open": "https://…"}  have the person open this
//	test   {"back": "https://…"}  the browser came back to the redirect URI like this
//	client {"claims": {…}}      of the ID token, verified; or {"error": "…"}
import { createInterface } from "node:readline";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node.js 18
globalThis.CryptoKey ??= webcrypto.CryptoKey;

export const settings = JSON.parse(process.env.INTEROP_SETTINGS);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const hear = async () => {
	const { value, done } = await lines.next();
	return done ? undefined : JSON.parse(value);
};

// open has the person open an address, and returns where the browser came back to.
export const open = async (url) => {
	say({ open: String(url) });
	return new URL((await hear()).back);
};

export const signingKey = () =>
	crypto.subtle.importKey("jwk", settings.key, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);

// serve signs people in, until nobody asks any more.
export async function serve(signIn) {
	for (let asked = await hear(); asked; asked = await hear()) {
		try {
			say({ claims: await signIn(asked.params) });
		} catch (err) {
			say({ error: [err.code, err.error, err.error_description, err.message, err.cause && JSON.stringify(err.cause)].filter(Boolean).join(": ") });
		}
	}
}
