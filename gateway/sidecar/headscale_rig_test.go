package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// rig is a real headscale with a relay of the lab, on loopback. Its state is in a
// folder, so that it can be stopped and started again as the same one.
type rig struct {
	t       *testing.T
	binary  string
	folder  string
	url     string
	process *process
	home    *process
	backend *net.TCPListener
}

// in is the rig for a subtest, which fails in its own name.
func (r *rig) in(t *testing.T) *rig {
	here := *r
	here.t = t
	return &here
}

// gatewayMayUsePort80 lets the gateway reach the home's port 80 and nothing else.
const gatewayMayUsePort80 = `{
	"tagOwners": {"tag:gpu": ["owner@"], "tag:gateway": ["owner@"]},
	"grants": [{"src": ["tag:gateway"], "dst": ["tag:gpu"], "ip": ["tcp:80"]}],
	%s
}`

func startRig(t *testing.T) *rig {
	t.Helper()
	binary := os.Getenv("HEARTH_HEADSCALE")
	if binary == "" {
		t.Skip("HEARTH_HEADSCALE is not set to a headscale binary; `npm test -- --only mesh` builds one and sets it")
	}
	folder, err := os.MkdirTemp("", "hs-") // short: it holds a socket, whose path may have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	relay := start(t, "lab", nil, "derp")
	derpMap := relay.ready("ready", &relay.out)["derpMap"].(string)
	r := &rig{t: t, binary: binary, folder: folder, url: "http://" + freeAddr(t)}
	r.write("derp.yaml", derpMap)
	r.write("policy.json", fmt.Sprintf(gatewayMayUsePort80, `"tests": []`))
	r.write("config.yaml", r.config())
	r.start()
	r.cli("users", "create", "owner")
	return r
}

func (r *rig) write(name, content string) string {
	r.t.Helper()
	path := filepath.Join(r.folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *rig) config() string {
	return fmt.Sprintf(`server_url: %[1]s
listen_addr: %[2]s
metrics_listen_addr: ""
grpc_listen_addr: 127.0.0.1:0
noise: {private_key_path: %[3]s/noise.key}
prefixes: {v4: 100.64.0.0/10, v6: "fd7a:115c:a1e0::/48"}
database: {type: sqlite, sqlite: {path: %[3]s/db.sqlite}}
dns: {magic_dns: true, base_domain: lab.test, override_local_dns: false}
derp: {server: {enabled: false}, urls: [], paths: [%[3]s/derp.yaml], auto_update_enabled: false}
policy: {mode: file, path: %[3]s/policy.json}
unix_socket: %[3]s/hs.sock
unix_socket_permission: "0700"
disable_check_updates: true
logtail: {enabled: false}
log: {level: info}
`, r.url, strings.TrimPrefix(r.url, "http://"), r.folder)
}

func (r *rig) start() {
	r.t.Helper()
	r.process = start(r.t, r.binary, []string{"HOME=" + r.folder}, "--config", filepath.Join(r.folder, "config.yaml"), "serve")
	until(r.t, "headscale answers", 20*time.Second, func() bool {
		response, err := http.Get(r.url + "/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		_, err = os.Stat(filepath.Join(r.folder, "hs.sock"))
		return err == nil && response.StatusCode == http.StatusOK
	})
}

func (r *rig) tryCLI(args ...string) (string, error) {
	command := exec.Command(r.binary, append([]string{"--config", filepath.Join(r.folder, "config.yaml")}, args...)...)
	command.Env = []string{"HOME=" + r.folder, "PATH=" + os.Getenv("PATH")}
	var out, problems strings.Builder
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("headscale %s: %w: %s%s", strings.Join(args, " "), err, out.String(), problems.String())
	}
	return out.String(), nil
}

func (r *rig) cli(args ...string) string {
	r.t.Helper()
	out, err := r.tryCLI(args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// rigKey is a pre-auth key as headscale shows it once.
type rigKey struct {
	ID  json.Number `json:"id"`
	Key string      `json:"key"`
}

// key makes a pre-auth key, such as key("--reusable", "--tags", "tag:gateway").
func (r *rig) key(flags ...string) rigKey {
	r.t.Helper()
	var made rigKey
	out := r.cli(append([]string{"preauthkeys", "create", "--output", "json"}, flags...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Key == "" {
		r.t.Fatalf("preauthkeys create said %q: %v", out, err)
	}
	return made
}

func (r *rig) gatewayKey(flags ...string) string {
	r.t.Helper()
	return r.key(append([]string{"--ephemeral", "--reusable", "--tags", "tag:gateway"}, flags...)...).Key
}

// startHome joins a home which forwards its ports 80 and 81 to the backend.
func (r *rig) startHome() {
	r.t.Helper()
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { backend.Close() })
	r.backend = backend.(*net.TCPListener)
	r.home = start(r.t, "lab", nil, "home", "--control-url", r.url, "--auth-key", r.key("--tags", "tag:gpu").Key, "--hostname", "home-gpu",
		"--tags", "", "--dir", filepath.Join(r.folder, "home"), "--forward", "80="+backend.Addr().String(), "--forward", "81="+backend.Addr().String())
	r.home.ready("ready", &r.home.out)
}

// env is a meshlink environment for the rig: with headscale the tags come from the key.
func (r *rig) env(key string, pairs ...string) []string {
	return append([]string{
		"TS_AUTHKEY=" + key, "TS_CONTROL_URL=" + r.url, "TS_TAGS=",
		"MESH_UPSTREAMS=gpu=tag:gpu:80,closed=tag:gpu:81",
		"MESH_ADDR=127.0.0.1:0", "MESH_STATUS_ADDR=127.0.0.1:0",
	}, pairs...)
}

func (r *rig) nodes() []string {
	r.t.Helper()
	var nodes []struct {
		Name string `json:"name"`
	}
	if out := r.cli("nodes", "list", "--output", "json"); json.Unmarshal([]byte(out), &nodes) != nil {
		r.t.Fatalf("nodes list said %q", out)
	}
	var names []string
	for _, node := range nodes {
		names = append(names, node.Name)
	}
	return names
}

func (r *rig) has(node string) bool {
	r.t.Helper()
	return slices.Contains(r.nodes(), node)
}

// refused starts a sidecar and returns what it says once it was refused with code.
func refused(t *testing.T, env []string, want codes.Code, flags ...string) (detail string) {
	t.Helper()
	s := startSidecar(t, env, flags...)
	s.awaitCode("gpu", want, 10*time.Second)
	problem := s.document().Problem
	if problem == nil {
		t.Fatalf("the status names no problem")
	}
	t.Logf("headscale said: %s", problem.Detail)
	s.end(syscall.SIGTERM, stopLimit)
	return problem.Detail
}
