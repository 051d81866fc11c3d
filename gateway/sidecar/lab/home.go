package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tailscale.com/envknob"
	"tailscale.com/tsnet"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"

	"hearth.dev/meshlink/internal/control"
	"hearth.dev/meshlink/internal/pipe"
)

const (
	homeDialTimeout  = 5 * time.Second
	homeJoinTimeout  = 30 * time.Second
	controlPollEvery = time.Second
	homeMemoryLimit  = 128 << 20 // soft; large transfers would take four times as much
	homeCloseTimeout = time.Second
)

type forward struct {
	port   int
	target string
}

type homeOptions struct {
	controlURL, authKey, hostname, dir string
	tags                               []string
	forwards                           []forward
	fresh, exitWithParent, verbose     bool
	wire                               wireOptions
	noDirect                           bool
}

func parseHome(args []string) (homeOptions, error) {
	var options homeOptions
	var tags string
	flags := flag.NewFlagSet("lab home", flag.ContinueOnError)
	flags.StringVar(&options.controlURL, "control-url", "", "address of the control plane (required)")
	flags.StringVar(&options.authKey, "auth-key", "", "auth key of the node")
	flags.StringVar(&options.hostname, "hostname", "home-gpu", "name of the node")
	flags.StringVar(&tags, "tags", "tag:gpu", "tags of the node, separated by commas")
	flags.StringVar(&options.dir, "dir", "", "folder of the node's state (required): the same folder is the same node")
	flags.BoolVar(&options.fresh, "fresh", false, "empty --dir first: come as a new node")
	flags.BoolVar(&options.noDirect, "no-direct", false, "never send to a peer by UDP: everything goes by the relay")
	flags.BoolVar(&options.exitWithParent, "exit-with-parent", false, "end when standard input ends")
	flags.BoolVar(&options.verbose, "verbose", false, "log what the node says")
	options.wire.addTo(flags)
	flags.Func("forward", "PORT=HOST:PORT, a tailnet port and where it leads (may repeat)", func(value string) error {
		parsed, err := parseForward(value)
		options.forwards = append(options.forwards, parsed)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return options, err
	}
	options.tags = splitTags(tags)
	if options.controlURL == "" || options.dir == "" || len(options.forwards) == 0 {
		return options, errors.New("lab home needs --control-url, --dir and at least one --forward")
	}
	return options, nil
}

func parseForward(value string) (forward, error) {
	port, target, found := strings.Cut(value, "=")
	number, err := strconv.Atoi(port)
	if !found || err != nil || number < 1 || number > 65535 {
		return forward{}, fmt.Errorf("%q, want PORT=HOST:PORT", value)
	}
	if _, _, err := net.SplitHostPort(target); err != nil {
		return forward{}, fmt.Errorf("%q, want PORT=HOST:PORT: %w", value, err)
	}
	return forward{port: number, target: target}, nil
}

// runHome keeps one node in the tailnet until ctx ends. A control plane that
// came back with another key has forgotten everybody: the node registers anew.
func runHome(ctx context.Context, options homeOptions, log *slog.Logger) error {
	debug.SetMemoryLimit(homeMemoryLimit)
	if options.noDirect {
		envknob.Setenv("TS_DEBUG_NEVER_DIRECT_UDP", "1")
	}
	if options.fresh {
		if err := os.RemoveAll(options.dir); err != nil {
			return err
		}
	}
	if err := options.wire.worsen(ctx, log); err != nil {
		return err
	}
	for announced := false; ctx.Err() == nil; announced = true {
		life, ip, err := joinHome(ctx, options, log)
		if err != nil {
			return ended(ctx, err)
		}
		if announced {
			log.Info("joined again", "ip", ip)
		} else if err := announce(map[string]any{"ready": true, "ip": ip}); err != nil {
			return err
		}
		life.untilForgotten(ctx)
		life.close()
	}
	return nil
}

// homeLife is one registration of the home node.
type homeLife struct {
	server     *tsnet.Server
	controlURL string
	controlKey key.MachinePublic
}

func joinHome(ctx context.Context, options homeOptions, log *slog.Logger) (*homeLife, string, error) {
	ctx, cancel := context.WithTimeout(ctx, homeJoinTimeout)
	defer cancel()
	controlKey, err := waitForControl(ctx, options.controlURL)
	if err != nil {
		return nil, "", fmt.Errorf("no control plane at %s: %w", options.controlURL, err)
	}
	port, err := udpPort(options.dir)
	if err != nil {
		return nil, "", fmt.Errorf("--dir: %w", err)
	}
	server := &tsnet.Server{
		Port:          port,
		Dir:           options.dir,
		Hostname:      options.hostname,
		ControlURL:    options.controlURL,
		AuthKey:       options.authKey,
		AdvertiseTags: options.tags,
		Logf:          logger.Discard,
		UserLogf:      logger.Discard,
	}
	if options.verbose {
		server.Logf = logfOf(true, log)
	}
	status, err := server.Up(ctx)
	if err != nil {
		server.Close()
		return nil, "", fmt.Errorf("the home node could not join: %w", err)
	}
	for _, forward := range options.forwards {
		listener, err := server.Listen("tcp", fmt.Sprintf(":%d", forward.port))
		if err != nil {
			server.Close()
			return nil, "", fmt.Errorf("--forward %d: %w", forward.port, err)
		}
		go serveForward(listener, forward.target, log)
	}
	return &homeLife{server, options.controlURL, controlKey}, status.TailscaleIPs[0].String(), nil
}

func waitForControl(ctx context.Context, controlURL string) (key.MachinePublic, error) {
	for {
		controlKey, err := control.FetchKey(ctx, controlURL)
		if err == nil {
			return controlKey, nil
		}
		select {
		case <-ctx.Done():
			return controlKey, err
		case <-time.After(controlPollEvery / 4):
		}
	}
}

// untilForgotten returns when ctx ends or another control plane answers.
func (l *homeLife) untilForgotten(ctx context.Context) {
	ticker := time.NewTicker(controlPollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		current, err := control.FetchKey(ctx, l.controlURL)
		if err == nil && current != l.controlKey {
			return
		}
	}
}

// close does not wait long for a control plane that no longer listens.
func (l *homeLife) close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		l.server.Close()
	}()
	select {
	case <-closed:
	case <-time.After(homeCloseTimeout):
	}
}

func serveForward(listener net.Listener, target string, log *slog.Logger) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go forwardOne(conn, target, log)
	}
}

func forwardOne(conn net.Conn, target string, log *slog.Logger) {
	inbound, ok := conn.(pipe.Conn)
	if !ok {
		log.Error("a tailnet connection cannot half-close", "type", fmt.Sprintf("%T", conn))
		conn.Close()
		return
	}
	outbound, err := net.DialTimeout("tcp", target, homeDialTimeout)
	if err != nil {
		log.Warn("the forward's target does not answer", "target", target, "error", err.Error())
		inbound.Close()
		return
	}
	var up, down atomic.Int64
	err = pipe.Both(context.Background(), inbound, outbound.(*net.TCPConn), pipe.Counters{AToB: &up, BToA: &down})
	if err != nil && !errors.Is(err, io.EOF) {
		log.Debug("tunnel ended", "error", err.Error())
	}
}
