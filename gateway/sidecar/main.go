// Meshlink joins a tailnet as an ephemeral node and opens tunnels to named
// places in it, for a gateway on the same machine:
//
//	CONNECT gpu HTTP/1.1        on MESH_ADDR (loopback only)
//
// answers 200 once the connection to the home is open, and a status with a code
// as JSON when it cannot be opened. After the 200 bytes are copied both ways.
//
// The environment says who this node is. The first of these that holds anything is
// used, files are read anew at every try; an OAuth client and a workload identity
// make a key for each try:
//
//	TS_AUTHKEY_FILE         file with an auth key
//	TS_AUTHKEY              the auth key itself, or TAILSCALE_AUTH_KEY
//	TS_CLIENT_SECRET_FILE   file with the secret of an OAuth client; needs TS_TAGS
//	TS_CLIENT_SECRET        the secret itself
//	TS_CLIENT_ID            client id of a federated identity; needs TS_TAGS and one of
//	  TS_ID_TOKEN_FILE      file with an id token
//	  TS_ID_TOKEN           the id token itself
//	  TS_AUDIENCE           audience of the token to ask Google's metadata server for
//	TS_API_URL              where keys are made (https://api.tailscale.com)
//	GCE_METADATA_HOST       HOST[:PORT] of the metadata server (metadata.google.internal)
//
// And where it goes (values are trimmed):
//
//	TS_CONTROL_URL      control plane (the hosted one)
//	TS_TAGS             tags to ask for: tag:gateway,…; empty with headscale's pre-auth keys, which bring their own
//	TS_HOSTNAME         name of the node (hearth-gateway)
//	MESH_UPSTREAMS      gpu=tag:gpu:80,exp=name:host:1910
//	MESH_ADDR           tunnels, loopback only (127.0.0.1:7080)
//	MESH_STATUS_ADDR    /livez /startupz /readyz /v1/status /v1/tunnels/ID /metrics
//	                    POST /v1/warm POST /v1/drain (0.0.0.0:7071)
//	MESH_STATE_DIR      scratch folder (a new one in the temporary folder)
//	MESH_MEMORY_LIMIT   soft limit of the memory in use: auto or a size (auto: by the container, at most 128MiB)
//	MESH_PEER_WATCH_S   seconds of silence until a peer's tunnels are cut (12)
//	MESH_MAX_TUNNELS    tunnels open at once (2048)
//	MESH_LINKLOCAL_V4   auto, on or off: use IPv4 although 169.254.x.y is all there is (auto)
//	MESH_MTU            largest packet inside the tailnet, 576 to 1500 bytes (1280)
//	MESH_RACK           on or off: TCP finds losses by time, not by three repeated answers (on)
//	MESH_BULK           auto, ping or off: measure whether large packets reach the home (auto)
//	MESH_ECHO_HOST      host for which the home's ingress has POST /-/echo (vllm.home)
//	MESH_LOG            info or debug
//
// Exit codes: 0 stopped as asked, 1 failure, 2 usage, 3 configuration.
//
// `meshlink echo --addr HOST:PORT` answers POST /-/echo with the body it got.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"tailscale.com/envknob"
	"tailscale.com/net/netns"

	"hearth.dev/meshlink/internal/memory"
	"hearth.dev/meshlink/internal/stop"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitConfig  = 3
)

func main() {
	redactor := &redactor{out: os.Stderr}
	level := slog.LevelInfo
	if os.Getenv("MESH_LOG") == "debug" {
		level = slog.LevelDebug
	}
	log := newLogger(redactor, level)
	if len(os.Args) > 1 && os.Args[1] == "echo" {
		os.Exit(echoCommand(os.Args[2:], log))
	}
	os.Exit(linkCommand(os.Args[1:], log, redactor))
}

func echoCommand(args []string, log *slog.Logger) int {
	flags := flag.NewFlagSet("meshlink echo", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:9000", "address to answer POST /-/echo on")
	withParent := flags.Bool("exit-with-parent", false, "stop when standard input ends")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if err := runEcho(stop.Context(*withParent), *addr, log); err != nil {
		log.Error("echo failed", "error", err.Error())
		return exitFailure
	}
	return exitOK
}

func linkCommand(args []string, log *slog.Logger, redactor *redactor) int {
	flags := flag.NewFlagSet("meshlink", flag.ContinueOnError)
	lab := flags.Bool("lab", false, "for a tailnet on loopback: sockets are not bound to an interface, the hosted control plane is out of bounds")
	withParent := flags.Bool("exit-with-parent", false, "stop in order when standard input ends")
	switchedOff := flags.String("without", "", "with --lab: cures to switch off, separated by commas")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unknown argument %q; the configuration is in the environment\n", flags.Arg(0))
		return exitUsage
	}
	without, err := parseWithout(*switchedOff, *lab)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	config, err := readConfig(os.Getenv, *lab)
	if err != nil {
		logConfigError(log, err)
		return exitConfig
	}
	config.Without = without
	facts := prepareProcess(config, log)
	if err := link(stop.Context(*withParent), config, facts, log, redactor); err != nil {
		log.Error("meshlink failed", "error", err.Error())
		return exitFailure
	}
	return exitOK
}

func logConfigError(log *slog.Logger, err error) {
	var config *ConfigError
	if errors.As(err, &config) {
		log.Error("the configuration is not valid", "problems", config.Problems)
	}
}

// prepareProcess sets what Tailscale's code reads from the process, before any of
// it runs. Nothing is uploaded, and memory stays near its limit under large
// transfers.
func prepareProcess(config Config, log *slog.Logger) netFacts {
	facts := netFacts{mtu: config.Net.MTU, linkLocal: useLinkLocal(config.Net.LinkLocal, log)}
	limit := config.MemoryLimit
	if limit == 0 {
		limit = memory.Auto(memory.Container(os.DirFS("/")))
	}
	debug.SetMemoryLimit(limit)
	envknob.SetNoLogsNoSupport()
	envknob.Setenv("TS_DEBUG_MTU", strconv.Itoa(config.Net.MTU))
	if config.Lab {
		netns.SetEnabled(false)
		envknob.Setenv("TS_PANIC_IF_HIT_MAIN_CONTROL", "1")
		envknob.Setenv("TS_DISABLE_PORTMAPPER", "1")
		envknob.Setenv("TS_ASSUME_NETWORK_UP_FOR_TEST", "1")
	}
	return facts
}

func newStatusHTTP(status *StatusServer, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           status.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// link wires the parts and runs them until ctx ends, then stops them in order.
func link(ctx context.Context, config Config, facts netFacts, log *slog.Logger, redactor *redactor) error {
	if err := os.MkdirAll(config.StateDir, 0o700); err != nil {
		return fmt.Errorf("MESH_STATE_DIR: %w", err)
	}
	defer os.Remove(config.StateDir) // stays when it holds anything that is not ours
	data, err := net.Listen("tcp", config.Addr)
	if err != nil {
		return fmt.Errorf("MESH_ADDR: %w", err)
	}
	defer data.Close()
	statusListener, err := net.Listen("tcp", config.StatusAddr)
	if err != nil {
		return fmt.Errorf("MESH_STATUS_ADDR: %w", err)
	}

	metrics := newMetrics(config.Upstreams)
	tailnet := newTailnet(config, log, redactor)
	var measure atomic.Pointer[PathProber]
	sleep := newSleepDetector(config, tailnet, &measure, log)
	dialer := newDialer(config, tailnet, metrics, sleep, log)
	tunnels := newTunnelTable()
	paths := newPathProber(config.Upstreams, tailnet, dialer, tunnels, metrics, sleep)
	measure.Store(paths)
	bulk := newBulkProber(config, tailnet, dialer, paths, metrics, log)
	connect := newConnectServer(config, dialer, paths, tunnels, metrics, log)
	status := &StatusServer{
		config: config, tailnet: tailnet, connect: connect, paths: paths, book: dialer.book, tunnels: tunnels, sleep: sleep,
		bulk: bulk, facts: facts, metrics: metrics, started: time.Now(),
	}
	statusHTTP := newStatusHTTP(status, log)
	defer statusHTTP.Close()

	inTailnet, leaveTailnet := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		tailnet.Run(inTailnet)
	}()
	go sleep.Run(inTailnet)
	go paths.Run(inTailnet, config.Upstreams)
	if !config.without("peer-watch") {
		go newPeerWatch(config, tailnet, tunnels, metrics, log).Run(inTailnet)
	}
	go bulk.Run(inTailnet, config.Upstreams)
	go newStallWatch(config, tunnels, metrics, askBulk(bulk), log).Run(inTailnet)
	failed := make(chan error, 2)
	go func() { failed <- connect.Serve(data) }()
	go func() { failed <- statusHTTP.Serve(statusListener) }()
	log.Info("listening", "tunnels", data.Addr().String(), "status", statusListener.Addr().String())

	select {
	case <-ctx.Done():
		log.Info("stopping", "reason", context.Cause(ctx).Error())
	case err = <-failed:
	}
	shutDown(connect, leaveTailnet, left, log)
	return err
}
