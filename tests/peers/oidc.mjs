// A real OAuth2 server for the tests: `node oidc.mjs`, configured by one JSON object in
// OIDC_OPTIONS. It listens on a free port of the loopback interface, writes its address to stdout,
// tells at /grants how many tokens it has granted, and answers at /allowed 204 or 401 by the bearer
// token of the request. It ends when stdin does, so that it never
// outlives the test that started it.

import http from "node:http";
import Provider from "oidc-provider";

const { clientSecret, tokenSeconds } = JSON.parse(process.env.OIDC_OPTIONS);

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

const audience = "https://api.example";

const configuration = {
  // One of them is allowed to no client.
  scopes: [...scope.split(" "), "profiles.erase"],
  clients: [
    client("in-body", "client_secret_post"),
    client("in-header", "client_secret_basic"),
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

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const address = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(address, configuration);
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
