// Package control asks a Tailscale control plane for its public key, which is
// the cheapest honest answer to "is it there, and is it still the same one".
package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const (
	keyTimeout  = 2 * time.Second
	keyBytesMax = 64 << 10
)

// FetchKey returns the Noise public key of the control plane at controlURL. It
// gives up after two seconds.
func FetchKey(ctx context.Context, controlURL string) (key.MachinePublic, error) {
	var none key.MachinePublic
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	address := fmt.Sprintf("%s/key?v=%d", strings.TrimRight(controlURL, "/"), tailcfg.CurrentCapabilityVersion)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return none, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return none, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return none, fmt.Errorf("GET /key answered %d, want 200", response.StatusCode)
	}
	var keys tailcfg.OverTLSPublicKeyResponse
	if err := json.NewDecoder(io.LimitReader(response.Body, keyBytesMax)).Decode(&keys); err != nil {
		return none, fmt.Errorf("GET /key answered no key document: %w", err)
	}
	return keys.PublicKey, nil
}
