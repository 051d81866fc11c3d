package auth

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// HostedAPI is where Tailscale's own service makes keys.
	HostedAPI = "https://api.tailscale.com"
	// GoogleMetadata is the metadata server's name inside Google Cloud.
	GoogleMetadata = "metadata.google.internal"

	authKeyPrefix = "tskey-auth-"
	secretPrefix  = "tskey-client-"
	apiPrefix     = "tskey-api-"

	fileBytesMax = 64 << 10
)

// Sources are the places where a key, or what makes one, may be. Files are read
// anew at every try, so that a replaced secret is picked up.
type Sources struct {
	KeyFile string
	// Env holds the value of the first variable that is set, EnvName its name.
	Env, EnvName string

	SecretFile, Secret string // of an OAuth client

	ClientID             string // of a federated identity, or of the OAuth client
	IDTokenFile, IDToken string
	Audience             string // of the token to ask the metadata server for

	Tags         []string // of the keys to make
	APIURL       string   // without a slash at the end
	MetadataHost string   // HOST[:PORT]

	Lab bool // the hosted API is out of bounds
	Raw bool // nothing is normalised
}

// Workload says whether the sources describe a workload identity.
func (s Sources) Workload() bool {
	return s.ClientID != "" && (s.IDTokenFile != "" || s.IDToken != "" || s.Audience != "")
}

// Mints says whether, as far as it shows without opening a file, keys are made by calls.
func (s Sources) Mints() bool {
	return s.SecretFile != "" || s.Secret != "" || s.Workload() || IsClientSecret(s.Env)
}

// IsClientSecret says whether text is the secret of an OAuth client. People
// paste it where an auth key belongs, and the hosted client takes it there too.
func IsClientSecret(text string) bool {
	text, _ = Normalise(text)
	return strings.HasPrefix(text, secretPrefix)
}

// IsHosted says whether address belongs to Tailscale's own service.
func IsHosted(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(parsed.Hostname(), "."))
	return host == "tailscale.com" || strings.HasSuffix(host, ".tailscale.com")
}

// place is where one text may be.
type place struct {
	method Method
	name   string // of the variable
	file   string // path, or empty
	text   string // the variable's value where there is no file
}

// keyPlaces returns where keys and client secrets may be, in order of use.
func (s Sources) keyPlaces() []place {
	return set(
		place{FromFile, "TS_AUTHKEY_FILE", s.KeyFile, ""},
		place{FromEnv, s.EnvName, "", s.Env},
		place{FromOAuth, "TS_CLIENT_SECRET_FILE", s.SecretFile, ""},
		place{FromOAuth, "TS_CLIENT_SECRET", "", s.Secret},
	)
}

// tokenPlaces returns where an id token may be, in order of use.
func (s Sources) tokenPlaces() []place {
	return set(
		place{FromWorkload, "TS_ID_TOKEN_FILE", s.IDTokenFile, ""},
		place{FromWorkload, "TS_ID_TOKEN", "", s.IDToken},
	)
}

func set(places ...place) []place {
	var given []place
	for _, place := range places {
		// A variable of spaces counts as given: the reason can name it.
		if place.file != "" || place.text != "" || place.method == FromEnv && place.name != "" {
			given = append(given, place)
		}
	}
	return given
}

// read returns the text of the place, and of a file the time of its last change.
func (p place) read() (text string, changed time.Time, err error) {
	if p.file == "" {
		return p.text, time.Time{}, nil
	}
	file, err := os.Open(p.file)
	if err != nil {
		return "", time.Time{}, err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return "", time.Time{}, err
	}
	if !about.Mode().IsRegular() {
		return "", time.Time{}, fmt.Errorf("%s is not a regular file", p.file)
	}
	raw, err := io.ReadAll(io.LimitReader(file, fileBytesMax+1))
	if err != nil {
		return "", time.Time{}, err
	}
	if len(raw) > fileBytesMax {
		return "", time.Time{}, fmt.Errorf("%s is larger than %d bytes", p.file, fileBytesMax)
	}
	return string(raw), about.ModTime(), nil
}

func (p place) String() string {
	if p.file != "" {
		return p.name + "=" + p.file
	}
	return p.name
}
