package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// The metadata server is on the same machine: it answers at once or is not there.
const metadataTimeout = 5 * time.Second

const identityPath = "/computeMetadata/v1/instance/service-accounts/default/identity"

// googleToken asks the metadata server of Google Cloud for an id token of this
// workload's service account. Without such a server there is no key.
func (c *Chain) googleToken(ctx context.Context) (string, error) {
	query := url.Values{"audience": {c.sources.Audience}, "format": {"full"}}
	address := "http://" + c.sources.MetadataHost + identityPath + "?" + query.Encode()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return "", c.noToken(err.Error())
	}
	request.Header.Set("Metadata-Flavor", "Google")
	got, err := roundTrip(ctx, c.metadata, request, metadataTimeout)
	if err != nil {
		return "", c.noToken(err.Error())
	}
	if got.header.Get("Metadata-Flavor") != "Google" {
		return "", c.noToken("something answered that is not Google's metadata server")
	}
	token := strings.TrimSpace(string(got.body))
	if got.status != http.StatusOK {
		return "", c.noToken(fmt.Sprintf("it answered %d %q", got.status, withoutSecrets(got.explanation())))
	}
	c.hide(token)
	return token, nil
}

func (c *Chain) noToken(why string) *codes.Error {
	return codes.Fail(codes.AuthMissingKey, fmt.Sprintf("TS_AUDIENCE=%s: no id token from the metadata server %s: %s; "+
		"outside of Google Cloud give a token with TS_ID_TOKEN_FILE", c.sources.Audience, c.sources.MetadataHost, why))
}
