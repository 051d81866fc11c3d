package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hearth.dev/meshlink/internal/auth"
)

const (
	hostedControlURL = "https://controlplane.tailscale.com"

	memoryLimitMin = 32 << 20
	maxTunnelsMax  = 65536
)

// Config is everything meshlink was told, checked.
type Config struct {
	Auth        auth.Sources
	ControlURL  string
	Tags        []string
	Hostname    string
	Upstreams   []Upstream
	Addr        string // loopback only
	StatusAddr  string
	StateDir    string
	MemoryLimit int64 // bytes; 0 follows the container
	MaxTunnels  int
	PeerWatch   time.Duration
	Net         NetConfig
	Lab         bool
	Without     map[string]bool // cures that the lab switched off
}

// ConfigError lists every problem of the configuration at once.
type ConfigError struct{ Problems []string }

func (e *ConfigError) Error() string {
	return "the configuration is not valid:\n  " + strings.Join(e.Problems, "\n  ")
}

// configReader collects problems while it reads; values are trimmed.
type configReader struct {
	getenv   func(string) string
	problems []string
}

func (r *configReader) value(name, fallback string) string {
	if value := strings.TrimSpace(r.getenv(name)); value != "" {
		return value
	}
	return fallback
}

// problem names the variable, its value and what is wanted. Secrets never come here.
func (r *configReader) problem(name, value, wanted string) {
	r.problems = append(r.problems, fmt.Sprintf("%s=%q: %s", name, value, wanted))
}

// readConfig reads the environment. Its error, if any, is a *ConfigError.
func readConfig(getenv func(string) string, lab bool) (Config, error) {
	r := &configReader{getenv: getenv}
	tags := r.tags()
	config := Config{
		Auth:        r.authSources(lab, tags),
		ControlURL:  r.controlURL(lab),
		Tags:        tags,
		Hostname:    r.hostname(),
		Upstreams:   r.upstreams(),
		Addr:        r.addr("MESH_ADDR", "127.0.0.1:7080", true),
		StatusAddr:  r.addr("MESH_STATUS_ADDR", "0.0.0.0:7071", false),
		StateDir:    r.value("MESH_STATE_DIR", filepath.Join(os.TempDir(), fmt.Sprintf("meshlink-%d", os.Getpid()))),
		MemoryLimit: r.memoryLimit(),
		MaxTunnels:  r.maxTunnels(),
		PeerWatch:   r.peerWatch(),
		Net:         r.net(),
		Lab:         lab,
	}
	if level := r.value("MESH_LOG", "info"); level != "info" && level != "debug" {
		r.problem("MESH_LOG", level, "want info or debug")
	}
	if len(r.problems) > 0 {
		return Config{}, &ConfigError{r.problems}
	}
	return config, nil
}

func (r *configReader) controlURL(lab bool) string {
	value := r.value("TS_CONTROL_URL", "")
	if value == "" {
		if lab {
			r.problem("TS_CONTROL_URL", value, "--lab needs the address of the lab's control plane")
		}
		return hostedControlURL
	}
	parsed, err := url.Parse(value)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		r.problem("TS_CONTROL_URL", value, "want http://HOST or https://HOST")
	} else if parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		r.problem("TS_CONTROL_URL", parsed.Redacted(), "want no user, query or fragment")
	}
	return strings.TrimRight(value, "/")
}

func (r *configReader) tags() []string {
	var tags []string
	value := r.value("TS_TAGS", "")
	for tag := range strings.SplitSeq(value, ",") {
		if tag = strings.TrimSpace(tag); tag == "" {
			continue
		}
		if !tagName.MatchString(tag) {
			r.problem("TS_TAGS", value, fmt.Sprintf("%q, want tag:NAME, separated by commas", tag))
		}
		tags = append(tags, tag)
	}
	return tags
}

func (r *configReader) hostname() string {
	value := r.value("TS_HOSTNAME", "hearth-gateway")
	if !hostName.MatchString(value) || len(value) > 63 || strings.Contains(value, ".") {
		r.problem("TS_HOSTNAME", value, "want 1 to 63 letters, digits and dashes")
	}
	return value
}

func (r *configReader) upstreams() []Upstream {
	value := r.value("MESH_UPSTREAMS", "")
	upstreams, problems := parseUpstreams(value)
	for _, problem := range problems {
		if problem == "is empty" {
			problem += ", want " + upstreamWanted
		}
		r.problem("MESH_UPSTREAMS", value, problem)
	}
	return upstreams
}

func (r *configReader) addr(name, fallback string, loopbackOnly bool) string {
	value := r.value(name, fallback)
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		r.problem(name, value, "want HOST:PORT")
		return value
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number > 65535 {
		r.problem(name, value, "the port must be 0 to 65535")
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case loopbackOnly && (err != nil || !ip.IsLoopback()):
		r.problem(name, value, "want a loopback address such as 127.0.0.1:7080: whoever reaches this port reaches your home")
	case err != nil && host != "" && host != "localhost":
		r.problem(name, value, "want an IP address as the host")
	}
	return value
}

var sizePattern = regexp.MustCompile(`^(\d{1,15})(B|KiB|MiB|GiB)?$`)

func (r *configReader) memoryLimit() int64 {
	value := r.value("MESH_MEMORY_LIMIT", "auto")
	if value == "auto" {
		return 0
	}
	units := map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	match := sizePattern.FindStringSubmatch(value)
	if match == nil {
		r.problem("MESH_MEMORY_LIMIT", value, "want auto or a size such as 128MiB")
		return 0
	}
	number, err := strconv.ParseInt(match[1], 10, 64)
	if unit := units[match[2]]; err != nil || number > (1<<40)/unit || number*unit < memoryLimitMin {
		r.problem("MESH_MEMORY_LIMIT", value, "want 32MiB to 1024GiB")
	}
	return number * units[match[2]]
}

func (r *configReader) maxTunnels() int {
	value := r.value("MESH_MAX_TUNNELS", "2048")
	number, err := strconv.Atoi(value)
	if err != nil || number < 1 || number > maxTunnelsMax {
		r.problem("MESH_MAX_TUNNELS", value, fmt.Sprintf("want a number from 1 to %d", maxTunnelsMax))
	}
	return number
}
