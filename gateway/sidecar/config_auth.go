package main

import (
	"net/netip"
	"net/url"
	"strings"

	"hearth.dev/meshlink/internal/auth"
)

// hidden stands for a secret in a problem.
const hidden = "[hidden]"

// authSources reads where the auth key is, or what makes one.
func (r *configReader) authSources(lab bool, tags []string) auth.Sources {
	sources := auth.Sources{
		KeyFile:      r.secretFile("TS_AUTHKEY_FILE", "use TS_AUTHKEY"),
		SecretFile:   r.secretFile("TS_CLIENT_SECRET_FILE", "use TS_CLIENT_SECRET"),
		Secret:       r.getenv("TS_CLIENT_SECRET"),
		ClientID:     r.clientID(),
		IDTokenFile:  r.secretFile("TS_ID_TOKEN_FILE", "use TS_ID_TOKEN"),
		IDToken:      r.getenv("TS_ID_TOKEN"),
		Audience:     r.value("TS_AUDIENCE", ""),
		Tags:         tags,
		APIURL:       r.apiURL(lab),
		MetadataHost: r.metadataHost(),
		Lab:          lab,
	}
	sources.Env, sources.EnvName = r.envKey()
	if key, _ := auth.Normalise(sources.Secret); strings.HasPrefix(key, "tskey-auth-") || strings.HasPrefix(key, "tskey-api-") {
		r.problem("TS_CLIENT_SECRET", hidden, "want the secret of an OAuth client (tskey-client-…); an auth key belongs into TS_AUTHKEY")
	}
	r.checkWorkload(sources)
	r.checkMinting(sources)
	return sources
}

// envKey returns the first variable with a key in it, or the first that is set at all.
func (r *configReader) envKey() (value, name string) {
	for _, candidate := range []string{"TS_AUTHKEY", "TAILSCALE_AUTH_KEY"} {
		raw := r.getenv(candidate)
		key, _ := auth.Normalise(raw)
		if strings.HasPrefix(key, "tskey-api-") {
			r.problem(candidate, hidden, "this is an API access token, want an auth key (tskey-auth-…) or the secret of an OAuth client (tskey-client-…)")
		}
		if key != "" {
			return raw, candidate
		}
		if raw != "" && name == "" {
			name = candidate
		}
	}
	return "", name
}

func (r *configReader) secretFile(name, instead string) string {
	path := r.value(name, "")
	if strings.HasPrefix(path, "tskey-") || strings.HasPrefix(path, "eyJ") {
		r.problem(name, hidden, "this is a key, want the path of a file that holds it (or "+instead+")")
	}
	return path
}

func (r *configReader) clientID() string {
	id := r.value("TS_CLIENT_ID", "")
	if strings.HasPrefix(id, "tskey-") {
		r.problem("TS_CLIENT_ID", hidden, "this is a secret, want the client's id (or use TS_CLIENT_SECRET)")
	}
	return id
}

// checkWorkload: a client id and a token, or the means to get one, belong together.
func (r *configReader) checkWorkload(s auth.Sources) {
	token := s.IDToken != "" || s.IDTokenFile != "" || s.Audience != ""
	other := s.KeyFile != "" || s.Env != "" || s.Secret != "" || s.SecretFile != ""
	switch {
	case token && s.ClientID == "":
		r.problem("TS_CLIENT_ID", "", "want the client id of the federated identity that TS_ID_TOKEN, TS_ID_TOKEN_FILE or TS_AUDIENCE is for")
	case s.ClientID != "" && !token && !other:
		r.problem("TS_CLIENT_ID", s.ClientID, "want with it TS_AUDIENCE, TS_ID_TOKEN_FILE or TS_ID_TOKEN, or a secret in TS_CLIENT_SECRET")
	}
}

// checkMinting: keys that are made by calls need tags, and in the lab a stand-in.
func (r *configReader) checkMinting(s auth.Sources) {
	if !s.Mints() {
		return
	}
	if len(s.Tags) == 0 {
		r.problem("TS_TAGS", "", "want the tags of the node: an OAuth client or a workload identity makes no key without them")
	}
	if s.Lab && auth.IsHosted(s.APIURL) {
		r.problem("TS_API_URL", s.APIURL, "--lab needs the address of the lab's key server")
	}
	if s.Lab && s.Workload() && s.Audience != "" && s.MetadataHost == auth.GoogleMetadata {
		r.problem("GCE_METADATA_HOST", s.MetadataHost, "--lab needs the address of the lab's metadata server")
	}
}

// apiURL is where secrets are sent, so it is encrypted unless it is this machine or a lab.
func (r *configReader) apiURL(lab bool) string {
	value := strings.TrimRight(r.value("TS_API_URL", auth.HostedAPI), "/")
	parsed, err := url.Parse(value)
	switch {
	case err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https":
		r.problem("TS_API_URL", value, "want https://HOST")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.Path != "":
		r.problem("TS_API_URL", parsed.Redacted(), "want no user, path, query or fragment")
	case parsed.Scheme == "http" && !lab && !loopback(parsed.Hostname()):
		r.problem("TS_API_URL", value, "want https: secrets are sent there")
	}
	return value
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (r *configReader) metadataHost() string {
	value := r.value("GCE_METADATA_HOST", auth.GoogleMetadata)
	parsed, err := url.Parse("http://" + value)
	if err != nil || parsed.Host != value || parsed.Hostname() == "" || !loopback(parsed.Hostname()) && !hostName.MatchString(parsed.Hostname()) {
		r.problem("GCE_METADATA_HOST", value, "want HOST or HOST:PORT")
	}
	return value
}
