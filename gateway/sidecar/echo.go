package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	echoBytesMax = 32 << 20
	// echoHeldBytes: a body up to here is answered once it is whole. An ingress like
	// Traefik stops reading a request when its answer begins, so that the sender of
	// a short one would never get all of it back.
	echoHeldBytes = 256 << 10
	echoTimeout   = 5 * time.Minute
)

// echo sends the body back: a short one when it is whole, others as they arrive. A home answers with it so that the
// gateway's side can prove that large bodies pass.
func echo(w http.ResponseWriter, request *http.Request) {
	controller := http.NewResponseController(w)
	// HTTP/1 servers close the request body at the first written byte otherwise.
	if err := controller.EnableFullDuplex(); err != nil {
		http.Error(w, "full duplex is not possible", http.StatusInternalServerError)
		return
	}
	if request.ContentLength > echoBytesMax {
		http.Error(w, "the body is too large: want at most 32 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	body := http.MaxBytesReader(w, request.Body, echoBytesMax)
	if request.ContentLength >= 0 && request.ContentLength <= echoHeldBytes {
		echoWhole(w, body)
		return
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			controller.Flush()
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			// The answer has begun: cutting it is the only honest end.
			panic(http.ErrAbortHandler)
		}
	}
}

func echoWhole(w http.ResponseWriter, body io.Reader) {
	held, err := io.ReadAll(body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(held)))
	w.Write(held)
}

// runEcho serves POST /-/echo on addr until ctx ends.
func runEcho(ctx context.Context, addr string, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /-/echo", echo)
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       echoTimeout,
		WriteTimeout:      echoTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	log.Info("echo is listening", "addr", listener.Addr().String())
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
