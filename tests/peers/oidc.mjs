// A real OAuth2 server for the tests: `node oidc.mjs`, configured by one JSON object in
// OIDC_OPTIONS. It listens on a free port of the loopback interface, writes its address to stdout,
// tells at /grants how many tokens it has granted, and answers at /allowed 204 or 401 by the bearer
// token of the request. It ends when stdin does, so that it never
// outlives the test that started it.

import { createPublicKey } from "node:crypto";
import http from "node:http";
import Provider, { errors } from "oidc-provider";

const { clientSecret, userPassword, publicKeys, tokenSeconds } = JSON.parse(process.env.OIDC_OPTIONS);

const scope = "profiles.read profiles.write";

const client = (id, method) => ({
  client_id: id,
  client_secret: clientSecret,
  scope,
  token_endpoint_auth_method: method,
  grant_types: ["client_credentials"],
  response_types: [],
  redirect_uris: [],
});

// A client that signs by an algorithm, with one of the keys that are given by algorithm in PEM.
const signing = ([algorithm, key]) => ({
  ...client(`by-${algorithm}`, "private_key_jwt"),
  client_secret: undefined,
  token_endpoint_auth_signing_alg: algorithm,
  jwks: { keys: [{ ...createPublicKey(key).export({ format: "jwk" }), kid: algorithm }] },
});

const audience = "https://api.example";

const configuration = {
  // One of them is allowed to no client.
  scopes: [...scope.split(" "), "profiles.erase"],
  clients: [
    client("in-body", "client_secret_post"),
    client("in-header", "client_secret_basic"),
    { ...client("for-a-user", "client_secret_post"), grant_types: ["password"] },
    ...Object.entries(publicKeys).map(signing),
    { ...client("not-allowed", "client_secret_post"), grant_types: [] },
  ],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope,
        audience,
        accessTokenFormat: "opaque",
        accessTokenTTL: tokenSeconds,
      }),
    },
  },
  ttl: { ClientCredentials: tokenSeconds },
};

// The grant of RFC 6749 section 4.3, which the server leaves to those who want it.
async function password(ctx) {
  const { client, params, provider } = ctx.oidc;
  if (params.username !== "ada" || params.password !== userPassword) {
    throw new errors.InvalidGrant("unknown user or wrong password");
  }
  const token = new provider.ClientCredentials({ client, scope: params.scope });
  const value = await token.save();
  ctx.body = { access_token: value, expires_in: token.expiration, token_type: token.tokenType };
}

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const address = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(address, configuration);
  provider.registerGrantType("password", password, ["username", "password", "scope", "resource"]);
  let grants = 0;
  provider.on("grant.success", () => (grants += 1));
  const oauth2 = provider.callback();
  server.on("request", async (request, response) => {
    switch (request.url) {
      case "/grants":
        return response.end(`${grants}`);
      case "/allowed": {
        const [, token] = (request.headers.authorization ?? "").split(" ");
        const known = await provider.ClientCredentials.find(token ?? "");
        return response.writeHead(known?.isValid ? 204 : 401).end();
      }
      default:
        return oauth2(request, response);
    }
  });
  console.log(address);
});

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
