package main

import (
	"errors"
	"strings"
	"testing"

	"hearth.dev/meshlink/internal/linklocal"
)

func envOf(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestConfigDefaultsAreThoseOfTheContract(t *testing.T) {
	config, err := readConfig(envOf(map[string]string{"MESH_UPSTREAMS": " gpu=tag:gpu:80 , exp=name:pc.lan:1910 ", "TS_TAGS": "tag:gateway,"}), false)
	if err != nil {
		t.Fatal(err)
	}
	if config.Addr != "127.0.0.1:7080" || config.StatusAddr != "0.0.0.0:7071" || config.Hostname != "hearth-gateway" ||
		config.MemoryLimit != 0 || config.MaxTunnels != 2048 || config.ControlURL != hostedControlURL ||
		!strings.Contains(config.StateDir, "meshlink-") || len(config.Tags) != 1 {
		t.Errorf("defaults: %+v", config)
	}
	if config.Net != (NetConfig{LinkLocal: linklocal.Auto, MTU: 1280, RACK: true, Bulk: BulkAuto, EchoHost: "vllm.home"}) {
		t.Errorf("defaults of the network: %+v", config.Net)
	}
	want := []Upstream{{Name: "gpu", Tag: "tag:gpu", Port: 80}, {Name: "exp", Host: "pc.lan", Port: 1910}}
	if len(config.Upstreams) != 2 || config.Upstreams[0] != want[0] || config.Upstreams[1] != want[1] {
		t.Errorf("upstreams: %+v, want %+v", config.Upstreams, want)
	}
}

func TestConfigProblemsAreListedTogetherWithNameValueAndWhatIsWanted(t *testing.T) {
	_, err := readConfig(envOf(map[string]string{
		"MESH_ADDR":         "0.0.0.0:7080",
		"MESH_STATUS_ADDR":  "7071",
		"MESH_UPSTREAMS":    "gpu=tag:gpu,GPU=tag:gpu:80,a=tag:x:0,b=host:x:80,c=tag:x:1,c=tag:x:2",
		"MESH_MEMORY_LIMIT": "1MiB",
		"MESH_MAX_TUNNELS":  "0",
		"MESH_LINKLOCAL_V4": "yes",
		"MESH_MTU":          "9000",
		"MESH_RACK":         "1",
		"MESH_BULK":         "always",
		"MESH_LOG":          "loud",
		"TS_TAGS":           "gateway",
		"TS_HOSTNAME":       "a b",
		"TS_CONTROL_URL":    "ftp://x",
		"TS_AUTHKEY_FILE":   "tskey-auth-oops",
	}), true)
	var config *ConfigError
	if !errors.As(err, &config) {
		t.Fatalf("got %v, want a ConfigError", err)
	}
	all := strings.Join(config.Problems, "\n")
	for _, part := range []string{
		`MESH_ADDR="0.0.0.0:7080": want a loopback address`,
		`MESH_STATUS_ADDR="7071": want HOST:PORT`,
		`"gpu=tag:gpu": want NAME=tag:TAG:PORT`,
		`the name "GPU" must be lower-case`,
		`the port "0" must be 1 to 65535`,
		`"b=host:x:80": want NAME=tag`,
		`the name c is given twice`,
		`MESH_MEMORY_LIMIT="1MiB": want 32MiB`,
		`MESH_MAX_TUNNELS="0": want a number`,
		`MESH_LINKLOCAL_V4="yes": want auto, on or off`,
		`MESH_MTU="9000": want bytes from 576 to 1500`,
		`MESH_RACK="1": want on or off`,
		`MESH_BULK="always": want auto, ping or off`,
		`MESH_LOG="loud": want info or debug`,
		`TS_TAGS="gateway"`,
		`TS_HOSTNAME="a b"`,
		`TS_CONTROL_URL="ftp://x"`,
		`TS_AUTHKEY_FILE="[hidden]": this is a key`,
	} {
		if !strings.Contains(all, part) {
			t.Errorf("no problem says %q in:\n%s", part, all)
		}
	}
	if strings.Contains(all, "oops") {
		t.Error("a problem shows the key")
	}
}

func TestConfigRefusesToServeTunnelsBeyondLoopback(t *testing.T) {
	for addr, allowed := range map[string]bool{
		"127.0.0.1:7080": true, "127.8.8.8:1": true, "[::1]:7080": true,
		":7080": false, "0.0.0.0:7080": false, "[::]:7080": false, "192.168.1.2:7080": false, "localhost:7080": false, "example.com:7080": false,
	} {
		_, err := readConfig(envOf(map[string]string{"MESH_UPSTREAMS": "gpu=tag:gpu:80", "MESH_ADDR": addr}), false)
		if (err == nil) != allowed {
			t.Errorf("MESH_ADDR=%s: error %v, want allowed=%v", addr, err, allowed)
		}
	}
}

func TestConfigOfALabNeedsAControlPlane(t *testing.T) {
	if _, err := readConfig(envOf(map[string]string{"MESH_UPSTREAMS": "gpu=tag:gpu:80"}), true); err == nil {
		t.Error("--lab without TS_CONTROL_URL was accepted; it would talk to the hosted control plane")
	}
}

func TestCuresAreSwitchedOffInTheLabAlone(t *testing.T) {
	for _, test := range []struct {
		value string
		lab   bool
		off   int
		fine  bool
	}{{"", false, 0, true}, {"bulk", true, 1, true}, {"bulk, rack", true, 2, true}, {"bulk", false, 0, false}, {"gravity", true, 0, false}} {
		off, err := parseWithout(test.value, test.lab)
		if (err == nil) != test.fine || len(off) != test.off {
			t.Errorf("--without %q, lab=%v: %v, %v", test.value, test.lab, off, err)
		}
	}
}
