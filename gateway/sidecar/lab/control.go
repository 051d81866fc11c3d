package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

const magicDNSDomain = "lab.test"

type controlOptions struct {
	addr, derpAddr, stunAddr string
	authKey                  string
	tags                     []string
	exitWithParent           bool
	verbose                  bool
}

func parseControl(args []string) (controlOptions, error) {
	var options controlOptions
	var tags string
	flags := flag.NewFlagSet("lab control", flag.ContinueOnError)
	flags.StringVar(&options.addr, "addr", "127.0.0.1:0", "address of the control plane")
	flags.StringVar(&options.derpAddr, "derp-addr", "127.0.0.1:0", "address of the DERP relay (TLS)")
	flags.StringVar(&options.stunAddr, "stun-addr", "127.0.0.1:0", "address of the STUN server (UDP)")
	flags.StringVar(&options.authKey, "auth-key", "", "the one auth key that nodes must bring; empty lets every node in")
	flags.StringVar(&tags, "tags", "tag:gpu,tag:gateway", "tags that nodes may carry, separated by commas")
	flags.BoolVar(&options.exitWithParent, "exit-with-parent", false, "end when standard input ends")
	flags.BoolVar(&options.verbose, "verbose", false, "log what the control plane and the relay say")
	if err := flags.Parse(args); err != nil {
		return options, err
	}
	options.tags = splitTags(tags)
	return options, nil
}

// runControl serves control, DERP and STUN until ctx ends.
func runControl(ctx context.Context, options controlOptions, log *slog.Logger) error {
	logf := logger.Discard
	if options.verbose {
		logf = func(format string, args ...any) { log.Info(fmt.Sprintf(format, args...)) }
	}
	stun := stunserver.New(ctx)
	if err := stun.Listen(options.stunAddr); err != nil {
		return fmt.Errorf("--stun-addr %s: %w", options.stunAddr, err)
	}
	go stun.Serve()
	derpListener, err := listenDERP(options.derpAddr, logf)
	if err != nil {
		return fmt.Errorf("--derp-addr %s: %w", options.derpAddr, err)
	}
	listener, err := net.Listen("tcp", options.addr)
	if err != nil {
		return fmt.Errorf("--addr %s: %w", options.addr, err)
	}
	controlURL := "http://" + listener.Addr().String()
	derpMap := derpMapOf(derpListener.Addr().(*net.TCPAddr), stun.LocalAddr().(*net.UDPAddr))
	server := &http.Server{
		Handler:           newControl(controlURL, options, derpMap, logf),
		ReadHeaderTimeout: 10 * time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if err := announce(map[string]any{
		"ready":      true,
		"controlUrl": controlURL,
		"derpAddr":   derpListener.Addr().String(),
		"stunAddr":   stun.LocalAddr().String(),
	}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return ended(ctx, err)
	}
}

func newControl(url string, options controlOptions, derpMap *tailcfg.DERPMap, logf logger.Logf) *testcontrol.Server {
	owners := map[string][]string{}
	for _, tag := range options.tags {
		owners[tag] = []string{}
	}
	control := &testcontrol.Server{
		Logf:             logf,
		DERPMap:          derpMap,
		DNSConfig:        &tailcfg.DNSConfig{Proxied: true},
		MagicDNSDomain:   magicDNSDomain,
		ExplicitBaseURL:  url,
		RequireAuthKey:   options.authKey,
		AllNodesSameUser: true,
		TagOwners:        owners,
	}
	control.HoldMapRequest = newPresence(control).onMapRequest
	return control
}

// listenDERP serves a relay behind a certificate of its own. HTTP/2 is off:
// the relay protocol takes the connection over, which HTTP/2 does not allow.
func listenDERP(addr string, logf logger.Logf) (net.Listener, error) {
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	relay := derpserver.New(key.NewNode(), logf)
	server := &http.Server{
		Handler:           derpserver.AddWebSocketSupport(relay, derpserver.Handler(relay)),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:          logger.StdLogger(logf),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go server.ServeTLS(listener, "", "")
	return listener, nil
}

func derpMapOf(derp *net.TCPAddr, stun *net.UDPAddr) *tailcfg.DERPMap {
	return &tailcfg.DERPMap{
		OmitDefaultRegions: true,
		Regions: map[int]*tailcfg.DERPRegion{
			1: {
				RegionID:   1,
				RegionCode: "lab",
				RegionName: "lab",
				Nodes: []*tailcfg.DERPNode{{
					Name:             "lab1",
					RegionID:         1,
					HostName:         derp.IP.String(),
					IPv4:             derp.IP.String(),
					IPv6:             "none",
					DERPPort:         derp.Port,
					STUNPort:         stun.Port,
					STUNTestIP:       stun.IP.String(),
					InsecureForTests: true,
				}},
			},
		},
	}
}

func selfSigned() (tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
